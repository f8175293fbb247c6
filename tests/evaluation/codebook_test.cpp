#include "elbo/evaluation/codebook.h"

#include <cmath>

#include "elbo/evaluation/bits_per_dim.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/hook.h"
#include "elbo/objectives/vq.h"
#include "fakes.h"

namespace elbo::codebook_test {

/// Codes are the numbers 0 to V - 1 of one group or more: x [B, T G] rounds to them; p(x) = N(code, 1).
class Rounding final : public Quantizer {
 public:
  explicit Rounding(std::vector<int64_t> sizes) : sizes_(std::move(sizes)) {}
  Quantization forward(const Tensor& z, Step&, const Tensor&) override {
    const auto indices = encode(z);
    return {.value = decode(indices), .indices = indices};
  }
  Tensor encode(const Tensor& z) override { return z.round().to(torch::kLong); }
  Tensor decode(const Tensor& indices) override { return indices.to(torch::kDouble); }
  CodeSpace code_space() const override {
    return {static_cast<int64_t>(sizes_.size()), static_cast<int64_t>(sizes_.size()), sizes_};
  }

 private:
  std::vector<int64_t> sizes_;
};

class RoundingModel final : public Model, public Quantized, public Reconstructs {
 public:
  explicit RoundingModel(std::vector<int64_t> sizes) : quantizer_(std::make_shared<Rounding>(sizes)) {}
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "rounding"; }
  Tensor tokens(const Batch& batch) const { return batch.at("x").reshape({batch.size(), -1, quantizer_->code_space().groups()}); }
  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override {
    return {{.tokens = tokens(batch), .quantization = quantizer_->forward(tokens(batch), step, {})}};
  }
  std::vector<Tensor> codes(const Batch& batch) override { return {quantizer_->encode(tokens(batch))}; }
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override {
    return {{.likelihood = Normal::with_scale(values.at(0).flatten(1), 1, 1), .target = batch.at("x")}};
  }
  std::vector<Quantizer*> quantizers() override { return {quantizer_.get()}; }
  Tensor reconstruct(const Batch& batch) override { return tokens(batch).round().flatten(1); }

 private:
  std::shared_ptr<Rounding> quantizer_;
};

EvaluationResult measured(std::vector<int64_t> sizes, const Tensor& x, const std::vector<std::string>& names,
                          int64_t batch_size) {
  RoundingModel model(std::move(sizes));
  const auto objective = make_vq_objective({}, model, {});
  return evaluate({.model = model, .objective = objective.get(), .dataset = fakes::rows(x), .batch_size = batch_size}, names);
}

TEST(Codebook, CountsOverTheWholeSplitWhateverTheBatches) {
  const auto x = values({0, 0.25, 1, 2, 0, 1, 2.25, 0}, {4, 2});  // codes 0 0 1 2 0 1 2 0: shares 1/2, 1/4, 1/4 of 5
  for (const int64_t batch_size : {1, 3, 4}) {
    const auto result = measured({5}, x, {"codebook", "bound"}, batch_size);
    EXPECT_DOUBLE_EQ(result.at("code_usage").value, 0.6);
    EXPECT_DOUBLE_EQ(result.at("dead_codes").value, 2);
    EXPECT_DOUBLE_EQ(result.at("code_entropy_bits").value, 1.5);
    EXPECT_DOUBLE_EQ(result.at("code_perplexity").value, std::exp2(1.5));  // 2.8284
    EXPECT_DOUBLE_EQ(result.at("tokens").value, 8);
    EXPECT_DOUBLE_EQ(result.at("nominal_rate_bits").value, 2 * std::log2(5));
    EXPECT_DOUBLE_EQ(result.at("entropy_rate_bits").value, 2 * 1.5);
    EXPECT_DOUBLE_EQ(result.at("quantization_error").value, 2 * 0.0625 / 8);
    EXPECT_DOUBLE_EQ(result.at("relative_quantization_error").value, 2 * 0.0625 / x.square().sum().item<double>());
    const double error = 2 * 0.0625 / 4;  // of a row, the mean
    EXPECT_NEAR(result.at("bound_nats").value, -0.5 * error - std::log(2 * M_PI) - 2 * std::log(5), 1e-6);
  }
}

TEST(Codebook, GroupsHaveTheirOwnNumbersAndAMeanAndALeast) {
  // one token of two groups a row: the first always 1, the second even over 0..3
  const auto x = values({1, 0, 1, 1, 1, 2, 1, 3}, {4, 2});
  const auto result = measured({2, 4}, x, {"codebook"}, 4);
  EXPECT_DOUBLE_EQ(result.at("code_perplexity_0").value, 1);
  EXPECT_DOUBLE_EQ(result.at("code_perplexity_1").value, 4);
  EXPECT_DOUBLE_EQ(result.at("code_perplexity").value, 2.5);
  EXPECT_DOUBLE_EQ(result.at("code_perplexity_min").value, 1);
  EXPECT_DOUBLE_EQ(result.at("code_usage_0").value, 0.5);
  EXPECT_DOUBLE_EQ(result.at("code_usage_min").value, 0.5);
  EXPECT_DOUBLE_EQ(result.at("nominal_rate_bits").value, 3);
  EXPECT_DOUBLE_EQ(result.at("entropy_rate_bits").value, 2);
}

TEST(Codebook, CodesWithoutBoundAreWholeRows) {
  const auto x = values({1, -5, 1, -5, 1, 2, 7, 7}, {4, 2});
  RoundingModel model({0, 0});
  const auto panel = codebook_panel({.model = model, .dataset = fakes::rows(x)});
  ASSERT_EQ(panel.levels.at(0).groups.size(), 1U);
  const auto& usage = panel.levels[0].groups[0];
  EXPECT_EQ(usage.used, 3);
  EXPECT_EQ(usage.tokens, 4);
  EXPECT_DOUBLE_EQ(usage.entropy, 1.5);
  EXPECT_FALSE(usage.has_collapsed());
  EXPECT_EQ(measurements(panel).front().name, "codes_used");
}

TEST(Codebook, BitsPerDimAreTheBoundInBits) {
  const auto x = values({0, 0.25, 1, 2}, {2, 2});
  RoundingModel model({5});
  const auto bound = quantized_bound({.model = model, .dataset = fakes::rows(x)});
  expect_close(bound, values({-0.5 * 0.0625, 0}) - std::log(2 * M_PI) - 2 * std::log(5), 1e-6);
}

TEST(Codebook, CollapseIsAFewCodesOfManyAndNeverAnEvenUse) {
  const auto collapsed = [](std::vector<int64_t> counts, int64_t size) {
    return code_usage(std::move(counts), size).has_collapsed();
  };
  EXPECT_TRUE(collapsed({500}, 512));
  EXPECT_TRUE(collapsed({500}, 2));                             // one code alone
  EXPECT_TRUE(collapsed(std::vector<int64_t>(25, 100), 512));   // 4.9 % used
  EXPECT_FALSE(collapsed(std::vector<int64_t>(26, 100), 512));  // 5.1 %
  std::vector<int64_t> uneven(512, 1);
  uneven[0] = 1'000'000;
  EXPECT_TRUE(collapsed(uneven, 512));                           // all are used, one takes everything
  EXPECT_FALSE(collapsed(std::vector<int64_t>(100, 1), 65536));  // no more tokens than that
  EXPECT_FALSE(collapsed({5}, 1));
  EXPECT_FALSE(collapsed({}, 8));
}

TEST(Codebook, TheWarningSaysWhatToTry) {
  const CodebookPanel panel{.levels = {{.name = "codes", .groups = {code_usage({980, 20}, 512)}}}};
  EXPECT_EQ(panel.warning(),
            "codebook 'codes' has collapsed: 2 of 512 codes used (0.391 %), perplexity 1.1 over 1,000 tokens. What often helps: "
            "quantizer ema (its revival replaces codes that nothing uses), sim_vq or fsq; init: kmeans; fewer codes; a smaller "
            "code_size");
  const CodebookPanel healthy{.levels = {{.name = "codes", .groups = {code_usage({500, 500}, 2)}}}};
  EXPECT_EQ(healthy.warning(), "");
}

TEST(Codebook, DefaultsFollowTheModelAndTheData) {
  RoundingModel model({5});
  using Names = std::vector<std::string>;
  EXPECT_EQ(default_metrics(model, {}), (Names{"bound", "codebook"}));
  const auto spec = [](Shape shape, ValueKind kind, int64_t levels) {
    return DataSpec{{"x", {.shape = std::move(shape), .kind = kind, .levels = levels}}};
  };
  EXPECT_EQ(default_metrics(model, spec({1, 28, 28}, ValueKind::unit, 256)),
            (Names{"bound", "codebook", "bits_per_dim", "reconstruction_error", "psnr", "ssim"}));
  EXPECT_EQ(default_metrics(model, spec({1, 8, 8}, ValueKind::unit, 17)),
            (Names{"bound", "codebook", "bits_per_dim", "reconstruction_error", "psnr"}));
  EXPECT_EQ(default_metrics(model, spec({4}, ValueKind::real, 0)), (Names{"bound", "codebook", "reconstruction_error"}));
  const fakes::ScalarModel variational({1}, {1}, {1});
  EXPECT_EQ(default_metrics(variational, {}), Names{"elbo"});
}

TEST(Codebook, TheHookMeasuresIt) {
  const auto model = std::make_shared<RoundingModel>(std::vector<int64_t>{5});
  const auto objective = make_vq_objective({}, *model, {});
  const auto hook = make_evaluation_hook(
      {.metrics = {"codebook"}}, {.model = model, .objective = objective, .dataset = fakes::rows(values({0, 1, 2, 0}, {2, 2}))});
  const auto logged = hook->evaluate({.step = 10, .clock = {.step = 10, .steps_per_epoch = 10, .total_steps = 10}});
  ASSERT_GE(logged.size(), 2U);
  EXPECT_EQ(logged[0].name, "valid/bound");
  EXPECT_EQ(logged[1].name, "valid/code_usage");
  EXPECT_DOUBLE_EQ(logged[1].value, 0.6);
}

}  // namespace elbo::codebook_test
