#include <algorithm>
#include <cmath>
#include <numbers>

#include "elbo/base/error.h"
#include "side_by_side.h"
#include "stream_coder.h"

namespace elbo::detail {
namespace {

/// Logits of one row, which lies on the host.
std::span<const double> row_of(const Tensor& logits, int64_t row) {
  const auto V = logits.size(1);
  return {logits.const_data_ptr<double>() + row * V, static_cast<size_t>(V)};
}

/// Rows of numbers on the host. Shapes: [..., V] -> float64 [rows, V].
Tensor host_rows(const Tensor& logits) { return logits.to(at::kCPU, at::kDouble).reshape({-1, logits.size(-1)}).contiguous(); }

int64_t num_positions(const CodeGrid& grid) { return grid.height * grid.width * grid.groups; }

/// The codes' own distribution at each position given those before it, in exact arithmetic: what the encoder reads off a pass
/// over all positions, the decoder gets one by one, bit for bit.
class AutoregressiveCoder final : public StreamCoder {
 public:
  explicit AutoregressiveCoder(const Codec& codec)
      : StreamCoder(codec.alphabets()), priors_(codec.parts().priors), device_(codec.parts().device) {}

 protected:
  int max_bits() const override {
    int largest = 0;
    for (size_t level = 0; level < num_levels(); ++level) {
      largest = std::max(largest, frequency_bits(alphabet(level).grid.vocabulary));
    }
    return largest;
  }

  StreamBits push(RansEncoder& encoder, size_t level, const std::vector<Tensor>& codes) const override {
    const auto& grid = alphabet(level).grid;
    const auto n = codes.at(level).size(0), T = num_positions(grid), rows = rows_at_once(grid);
    if (grid.vocabulary == 1) return {};  // nothing to tell
    const int bits = frequency_bits(grid.vocabulary);
    std::vector<Interval> intervals(static_cast<size_t>(n * T));  // [T, n]
    std::vector<double> model_bits(static_cast<size_t>((n + rows - 1) / rows));
    SideBySide threads(device_);
    threads.run(static_cast<int64_t>(model_bits.size()), [&](int64_t part) {
      const auto first = part * rows, count = std::min(rows, n - first);
      const auto of_part = codes[level].narrow(0, first, count);
      model_bits[static_cast<size_t>(part)] = price(level, of_part, condition_of(level, codes, first, count), [&](int64_t k) {
        return &intervals[static_cast<size_t>(k % T * n + first + k / T)];
      });
    });
    StreamBits total;
    for (const auto of_part : model_bits) total.model += of_part;
    for (const auto& interval : intervals) {
      encoder.push(interval, bits);
      total.integer += bits - std::log2(static_cast<double>(interval.frequency));
    }
    return total;
  }

  Tensor pop(RansDecoder& decoder, size_t level, int64_t n, const std::vector<Tensor>& above) const override {
    const auto& grid = alphabet(level).grid;
    const auto T = num_positions(grid);
    if (grid.vocabulary == 1) return torch::zeros({n, grid.height, grid.width, grid.groups}, torch::kLong);  // nothing to ask
    const auto ordered = torch::empty({T, n}, torch::kLong);
    SideBySide threads(device_);
    const auto arithmetic = exact_arithmetic_of_fixed_weights();
    const auto rows = rows_a_pass(grid, n, threads.width());
    std::vector<Pass> passes(static_cast<size_t>((n + rows - 1) / rows));
    const auto num_passes = static_cast<int64_t>(passes.size());
    for (int64_t t = 0; t < T; ++t) {
      auto* code = ordered[t].mutable_data_ptr<int64_t>();
      for (int64_t from = 0; from < num_passes; from += threads.width()) {
        // Passes begin when the codes before theirs are there: a stream that breaks off costs no more than it holds.
        const auto count = std::min(threads.width(), num_passes - from);
        threads.run(count, [&](int64_t i) {
          const auto first = (from + i) * rows, images = std::min(rows, n - first);
          auto& pass = passes[static_cast<size_t>(from + i)];
          if (t == 0) pass.decoding = priors_[level]->start(images, condition_of(level, above, first, images), *arithmetic);
          Tensor previous;
          if (t > 0) previous = ordered[t - 1].narrow(0, first, images).to(device_);
          pass.read(host_rows(pass.decoding->next(previous)));
        });
        for (int64_t i = 0; i < count; ++i) {
          for (const auto& table : passes[static_cast<size_t>(from + i)].tables) *code++ = decoder.pop(table);
        }
      }
    }
    return image_major(ordered, grid);
  }

 private:
  /// A part of the images on its way through the positions.
  struct Pass {
    std::unique_ptr<CodeDecoding> decoding = nullptr;
    std::vector<FrequencyTable> tables = {};

    void read(const Tensor& logits) {
      tables.clear();
      const int bits = frequency_bits(logits.size(1));
      for (int64_t i = 0; i < logits.size(0); ++i) tables.push_back(frequencies_from_logits(row_of(logits, i), bits));
    }
  };

  /// Where each of these codes lies among the integer frequencies; the bits that they cost under the model's own numbers.
  double price(size_t level, const Tensor& codes, const CodeCondition& condition,
               const std::function<Interval*(int64_t)>& interval) const {
    auto& prior = *priors_.at(level);
    const auto on_device = codes.to(device_);
    const auto nats = -prior.log_prob(on_device, condition).to(at::kCPU, at::kDouble).sum().item<double>();
    const auto logits = host_rows(prior.logits(on_device, condition, exact_arithmetic(), nullptr));
    const auto flat = codes.reshape({-1}).contiguous();
    const auto* code = flat.const_data_ptr<int64_t>();
    const int bits = frequency_bits(logits.size(1));
    for (int64_t k = 0; k < flat.numel(); ++k) {
      *interval(k) = interval_from_logits(row_of(logits, k), bits, static_cast<uint32_t>(code[k]));
    }
    return nats / std::numbers::ln2;
  }

  /// Classes are not told: a file would have to hold them.
  CodeCondition condition_of(size_t level, const std::vector<Tensor>& codes, int64_t first, int64_t count) const {
    if (level == 0) return {};
    return {.above = codes.at(level - 1).narrow(0, first, count).to(device_)};
  }

  /// Images whose logits and attention fit into some 32 MiB.
  static int64_t rows_at_once(const CodeGrid& grid) {
    constexpr int64_t kNumbers = 1 << 22;
    const auto T = num_positions(grid);
    return std::clamp<int64_t>(kNumbers / (T * std::max(grid.vocabulary, 8 * T)), 1, 64);
  }

  /// Images whose logits at one position fit into some 8 MiB, and no fewer parts than threads.
  static int64_t rows_a_pass(const CodeGrid& grid, int64_t n, int64_t threads) {
    constexpr int64_t kNumbers = 1 << 20;
    return std::min(std::clamp<int64_t>(kNumbers / grid.vocabulary, 16, 256), (n + threads - 1) / threads);
  }

  std::vector<AutoregressiveCodePrior*> priors_;
  at::Device device_;
};

}  // namespace

std::unique_ptr<StreamCoder> make_autoregressive_coder(const Codec& codec) {
  return std::make_unique<AutoregressiveCoder>(codec);
}

}  // namespace elbo::detail
