#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <optional>

#include "elbo/base/error.h"
#include "stream_coder.h"

namespace elbo::detail {
namespace {

/// Rows whose tables are made by one task.
constexpr int64_t kTablesATask = 8;

FrequencyTable frequencies_of_row(const Tensor& logits, int64_t row) {
  const auto V = logits.size(1);
  const auto* first = logits.const_data_ptr<double>() + row * V;
  return frequencies_from_logits(std::span(first, static_cast<size_t>(V)), frequency_bits(V));
}

/// Rows of numbers on the host. Shapes: [..., V] -> float64 [rows, V].
Tensor host_rows(const Tensor& logits) { return logits.to(at::kCPU, at::kDouble).reshape({-1, logits.size(-1)}).contiguous(); }

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
    const torch::NoGradGuard no_grad;
    auto& prior = *priors_.at(level);
    const auto& grid = alphabet(level).grid;
    const auto n = codes.at(level).size(0), T = grid.height * grid.width * grid.groups;
    const int bits = frequency_bits(grid.vocabulary);
    std::vector<Interval> intervals(static_cast<size_t>(n * T));  // [T, n]
    StreamBits total;
    const auto rows = rows_at_once(grid);
    for (int64_t first = 0; first < n; first += rows) {
      const auto count = std::min(rows, n - first);
      const auto part = codes[level].narrow(0, first, count);
      const auto on_device = part.to(device_);
      const auto condition = condition_of(level, codes, first, count);
      total.model += prior.log_prob(on_device, condition).to(at::kCPU, at::kDouble).sum().item<double>() / -std::numbers::ln2;
      const auto logits = host_rows(prior.logits(on_device, condition, exact_arithmetic(), nullptr));
      const auto flat = part.reshape({-1}).contiguous();
      const auto* code = flat.const_data_ptr<int64_t>();
      at::parallel_for(0, count * T, kTablesATask, [&](int64_t begin, int64_t end) {
        for (int64_t k = begin; k < end; ++k) {
          const auto image = first + k / T, position = k % T;
          intervals[static_cast<size_t>(position * n + image)] =
              frequencies_of_row(logits, k).interval(static_cast<uint32_t>(code[k]));
        }
      });
    }
    for (const auto& interval : intervals) {
      encoder.push(interval, bits);
      total.integer += bits - std::log2(static_cast<double>(interval.frequency));
    }
    return total;
  }

  Tensor pop(RansDecoder& decoder, size_t level, int64_t n, const std::vector<Tensor>& above) const override {
    const torch::NoGradGuard no_grad;
    const auto& grid = alphabet(level).grid;
    const auto T = grid.height * grid.width * grid.groups;
    const auto arithmetic = exact_arithmetic_of_fixed_weights();
    const auto pass = priors_.at(level)->start(n, condition_of(level, above, 0, n), *arithmetic);
    const auto ordered = torch::empty({T, n}, torch::kLong);
    Tensor previous;
    for (int64_t t = 0; t < T; ++t) {
      pop_position(decoder, host_rows(pass->next(previous)), ordered.mutable_data_ptr<int64_t>() + t * n);
      previous = ordered[t].to(device_, /*non_blocking=*/false, /*copy=*/true);
    }
    return image_major(ordered, grid);
  }

 private:
  /// Tables are made side by side, a part of the rows at a time, and read in order.
  static void pop_position(RansDecoder& decoder, const Tensor& logits, int64_t* codes) {
    constexpr int64_t kTableBytes = 1 << 26;
    const auto n = logits.size(0);
    const auto rows = std::clamp<int64_t>(kTableBytes / (4 * logits.size(1)), 1, n);
    for (int64_t first = 0; first < n; first += rows) {
      const auto count = std::min(rows, n - first);
      std::vector<std::optional<FrequencyTable>> tables(static_cast<size_t>(count));
      at::parallel_for(0, count, kTablesATask, [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) tables[static_cast<size_t>(i)] = frequencies_of_row(logits, first + i);
      });
      for (const auto& table : tables) *codes++ = decoder.pop(*table);
    }
  }

  /// Classes are not told: a file would have to hold them.
  CodeCondition condition_of(size_t level, const std::vector<Tensor>& codes, int64_t first, int64_t count) const {
    if (level == 0) return {};
    return {.above = codes.at(level - 1).narrow(0, first, count).to(device_)};
  }

  /// Images whose logits and attention fit into some 32 MiB.
  static int64_t rows_at_once(const CodeGrid& grid) {
    constexpr int64_t kNumbers = 1 << 22;
    const auto T = grid.height * grid.width * grid.groups;
    return std::clamp<int64_t>(kNumbers / (T * std::max(grid.vocabulary, 8 * T)), 1, 64);
  }

  std::vector<AutoregressiveCodePrior*> priors_;
  at::Device device_;
};

}  // namespace

std::unique_ptr<StreamCoder> make_autoregressive_coder(const Codec& codec) {
  return std::make_unique<AutoregressiveCoder>(codec);
}

}  // namespace elbo::detail
