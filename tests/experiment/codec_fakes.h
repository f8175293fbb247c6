#pragma once
#include <algorithm>
#include <atomic>
#include <cmath>
#include <memory>
#include <vector>

#include "elbo/distributions/normal.h"
#include "elbo/experiment/codec.h"
#include "elbo/quantizers/lattice.h"

namespace elbo::codec_fakes {

/// Codes below V in every group; a code's value is its place among them.
class FakeQuantizer final : public Quantizer {
 public:
  explicit FakeQuantizer(std::vector<int64_t> sizes) : sizes_(std::move(sizes)) {}
  Quantization forward(const Tensor&, Step&, const Tensor&) override { return {}; }
  Tensor encode(const Tensor& z) override { return z.round().to(torch::kLong); }
  Tensor decode(const Tensor& indices) override {
    std::vector<double> sizes;
    for (const auto size : sizes_) sizes.push_back(static_cast<double>(std::max<int64_t>(size, 1)));
    return (indices / torch::tensor(sizes, torch::kFloat)).to(torch::kFloat);
  }
  CodeSpace code_space() const override {
    const auto groups = static_cast<int64_t>(sizes_.size());
    return {.input_size = groups, .output_size = groups, .sizes = sizes_};
  }

 private:
  std::vector<int64_t> sizes_;
};

struct FakeLevel {
  int64_t height = 1;
  int64_t width = 1;
  std::vector<int64_t> sizes = {};
};

/// Codes that are the local means of pictures of one channel; pictures that are the last level's first group, enlarged.
class FakeModel final : public Quantized {
 public:
  explicit FakeModel(std::vector<FakeLevel> levels) : levels_(std::move(levels)) {
    for (const auto& level : levels_) quantizers_.push_back(std::make_shared<FakeQuantizer>(level.sizes));
  }
  std::vector<CodeLevel> quantize(const Batch&, Step&) override { return {}; }
  std::vector<Tensor> codes(const Batch& batch) override {
    std::vector<Tensor> all;
    for (const auto& level : levels_) {
      const auto means = at::adaptive_avg_pool2d(batch.at("x"), {level.height, level.width}).squeeze(1);
      std::vector<Tensor> groups;
      for (const auto size : level.sizes) {
        const auto codes =
            (means * static_cast<double>(size)).floor().clamp(0, std::max<double>(0, static_cast<double>(size) - 1));
        groups.push_back(size > 0 ? codes : ((means - 0.5) * 40).round());
      }
      all.push_back(torch::stack(groups, -1).to(torch::kLong));
    }
    return all;
  }
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override {
    const auto coarse = values.back().select(-1, 0).unsqueeze(1);
    const auto sides = batch.at("x").sizes().slice(2);
    const auto mean = at::upsample_nearest2d(coarse, sides);
    return {{.likelihood = std::make_shared<Normal>(mean, torch::zeros_like(mean), 3)}};
  }
  std::vector<Quantizer*> quantizers() override {
    std::vector<Quantizer*> all;
    for (const auto& quantizer : quantizers_) all.push_back(quantizer.get());
    return all;
  }

 private:
  std::vector<FakeLevel> levels_;
  std::vector<std::shared_ptr<FakeQuantizer>> quantizers_ = {};
};

/// A code given the one before it, its place and the first code of the level above.
class ChainPrior final : public AutoregressiveCodePrior {
 public:
  ChainPrior(const CodeGrid& grid, int64_t above, uint64_t seed) : grid_(grid) {
    Stream stream(seed, "chain", at::kCPU);
    const auto V = grid.vocabulary;
    weight_ = stream.normal({V}, {V + 1}) * 1.5;
    places_ = stream.normal({num_positions()}, {V}) * 0.3;
    if (above > 0) above_ = stream.normal({above}, {V}) * 2;
  }

  Tensor logits(const Tensor& codes, const CodeCondition& condition, Arithmetic& arithmetic, Step*) override {
    const auto flat = codes.flatten(1);
    const auto start = torch::full({flat.size(0), 1}, grid_.vocabulary, torch::kLong);
    const auto before = torch::cat({start, flat.narrow(1, 0, flat.size(1) - 1)}, 1);
    auto logits = at_positions(before, arithmetic) + places_;
    if (above_.defined()) logits = logits + told(condition).unsqueeze(1);
    return logits;
  }
  std::unique_ptr<CodeDecoding> start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) override {
    images_begun += B;
    return std::make_unique<Pass>(*this, B, condition, arithmetic);
  }
  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override { return "chain"; }
  /// What next() gets added: makes decoder and encoder differ.
  double fault = 0;
  /// Of all passes that were started.
  std::atomic<int64_t> images_begun = 0;

 private:
  struct Pass final : CodeDecoding {
    Pass(ChainPrior& chain, int64_t rows, const CodeCondition& known, Arithmetic& numbers)
        : prior(chain), B(rows), condition(known), arithmetic(numbers) {}
    Tensor next(const Tensor& previous) override {
      const auto before = previous.defined() ? previous : torch::full({B}, prior.grid_.vocabulary, torch::kLong);
      auto logits = prior.at_positions(before.unsqueeze(1), arithmetic).squeeze(1) + prior.places_[place++];
      if (prior.above_.defined()) logits = logits + prior.told(condition);
      return prior.fault == 0 ? logits : logits + prior.fault * torch::arange(logits.size(1));
    }
    ChainPrior& prior;
    int64_t B;
    CodeCondition condition;
    Arithmetic& arithmetic;
    int64_t place = 0;
  };

  int64_t num_positions() const { return grid_.height * grid_.width * grid_.groups; }
  Tensor at_positions(const Tensor& before, Arithmetic& arithmetic) const {
    return arithmetic.linear(at::one_hot(before, grid_.vocabulary + 1).to(torch::kFloat), weight_, {});
  }
  Tensor told(const CodeCondition& condition) const { return above_.index_select(0, condition.above.flatten(1).select(1, 0)); }

  CodeGrid grid_;
  Tensor weight_, places_, above_;
};

inline FieldSpec picture(int64_t side) { return {.shape = {1, side, side}, .kind = ValueKind::unit, .levels = 256}; }

inline std::string hash_of(char digit) { return std::string(64, digit); }

/// Codes drawn from a codec's priors, or where it has none from a skewed distribution.
inline std::vector<Tensor> draws(const Codec& codec, int64_t N, uint64_t seed = 1) {
  Stream noise(seed, "draws", at::kCPU);
  std::vector<Tensor> codes;
  for (size_t level = 0; level < codec.alphabets().size(); ++level) {
    const auto& [grid, sizes] = codec.alphabets()[level];
    if (!codec.parts().priors.empty()) {
      CodeCondition condition;
      if (level > 0) condition.above = codes.back();
      codes.push_back(codec.parts().priors[level]->sample(N, condition, {}, noise));
      continue;
    }
    std::vector<Tensor> groups;
    for (const auto size : sizes) {
      const auto u = noise.uniform({N}, {grid.height, grid.width});
      groups.push_back(size == 0 ? (u.logit() * 4).round() : (u.pow(3) * static_cast<double>(size)).floor());
    }
    codes.push_back(torch::stack(groups, -1).to(torch::kLong));
  }
  return codes;
}

}  // namespace elbo::codec_fakes
