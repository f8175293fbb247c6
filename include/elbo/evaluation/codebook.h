#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include "elbo/evaluation/metric.h"

namespace elbo {

/// How one group's codes were used by the tokens of a split.
struct CodeUsage {
  int64_t size = 0;                   // V; 0 without bound
  int64_t tokens = 0;                 // that were counted
  int64_t used = 0;                   // codes that at least one of them chose
  double entropy = 0;                 // of the codes' shares, bits
  std::vector<int64_t> largest = {};  // counts of the codes most often used, falling, at most kMostCounts

  static constexpr size_t kMostCounts = 256;
  /// 2 to the entropy: as many codes, evenly used, would have it. Between 1 and min(V, tokens).
  double perplexity() const;
  /// used / V. Codes without bound have no such share: then used / tokens.
  double share_used() const;
  /// The first sign that training goes on with a few codes only: less than 5 % of min(V, tokens) used, a perplexity below 2 % of
  /// it, or one code alone.
  bool has_collapsed() const;
};

/// Of counts, one a code, or one a code that occurs where there is no bound.
CodeUsage code_usage(std::vector<int64_t> counts, int64_t size);

/// One level of a quantised model.
struct LevelUsage {
  std::string name = {};               // "codes"
  std::vector<CodeUsage> groups = {};  // codes without bound (a lattice) are one group, whose codes are whole rows
  double tokens_per_example = 0;
  double bits_per_token = 0;  // sum over groups of log2 V; NaN without bound
  double squared_error = 0;   // mean of |z - code|^2 / D over tokens; NaN where tokens and codes are of different spaces
  double relative_error = 0;  // sum of |z - code|^2 / sum of |z|^2
};

/// What the codes of a split look like.
struct CodebookPanel {
  std::vector<LevelUsage> levels = {};

  /// A line a level and a line of blocks: the counts of its most used codes.
  std::string str(int64_t columns = 64) const;
  /// "codebook 'codes' has collapsed: …" with what to try; empty where none has.
  std::string warning() const;
};

/// Counts on the host, so that memory grows with the codes that occur. Throws: UsageError when the model is not quantised.
CodebookPanel codebook_panel(const EvaluationContext& context);

/// What the metric tells of it.
std::vector<Measurement> measurements(const CodebookPanel& panel);

/// log p(x, codes) with codes as long as they are before a prior is learnt. [N] float64 on the host. Units: nats.
Tensor quantized_bound(const EvaluationContext& context);

/// code_usage, code_perplexity, code_entropy_bits, dead_codes (means over groups and levels; with several also the least of each
/// and one a group), quantization_error and relative_quantization_error (where tokens and codes are of one space), tokens, and of
/// an example nominal_rate_bits = T sum_g log2 V_g and entropy_rate_bits = T sum_g H_g.
std::shared_ptr<Metric> make_codebook_metric(const NoConfig&);

}  // namespace elbo
