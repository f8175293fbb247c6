#pragma once
#include <array>
#include <string>
#include <vector>

#include "elbo/data/dataset.h"
#include "elbo/data/missing.h"

namespace elbo::detail {

/// The fields that rows of a set lack: by nature, or taken away.
class MissingFields {
 public:
  /// What the data itself lacks, by field: [N] bool of each split, in the order of Split.
  using Natural = std::array<std::map<std::string, Tensor>, 3>;

  /// Marks the fields in `spec`. Throws: ConfigError for names that the set doesn't have, DataError naming the row that has
  /// nothing left.
  MissingFields(const MissingOptions& options, DataSpec& spec, const std::array<int64_t, 3>& sizes, const Natural& natural,
                uint64_t seed);

  void to(at::Device device);
  /// Sets `present` and clears the values of what is missing.
  void apply(Batch& batch, Split split, Stream& stream) const;
  /// The rows of a split that have this field for good, [n] int64 on the host; undefined for all.
  Tensor rows_with(Split split, const std::string& field) const;
  /// What is left, and what decides what will be drawn; empty where nothing is ever missing.
  std::string fingerprint() const;

 private:
  bool is_dynamic(Split split) const { return split == Split::train && draws_ && options_.draw == MissingDraw::dynamic; }
  /// Patterns [n, M] of rows where `there` [n, F] is what the data has.
  Tensor drawn_for(const Tensor& there, Stream& stream) const;
  /// `there` [n, F] without what `drawn` [n, M] takes away.
  Tensor left_of(const Tensor& there, const Tensor& drawn) const;
  Tensor drawn_once(const Tensor& there, Split split) const;
  void refuse_empty_rows(const Tensor& there, Split split) const;

  MissingOptions options_;
  uint64_t seed_;
  bool draws_ = false;
  std::vector<std::string> fields_ = {};  // F: what may be missing, and every modality
  Tensor modality_ = {};                  // [M] int64, their places in fields_
  Tensor rates_ = {};                     // [M] double
  std::array<Tensor, 3> host_ = {};       // [N, F] bool, undefined = all there
  std::array<Tensor, 3> on_device_ = {};
};

enum class Guarantee { none, at_least_one };
/// Patterns [n, M], true = there, where `rates` [n, M] are the probabilities of lacking each; u [n, M + 1] is uniform in [0, 1).
/// `at_least_one`: from the distribution of those patterns that have a true, the first one by the inverse of its cumulative
/// probabilities, what follows it each by itself. A row whose probabilities are all 1 has none.
Tensor draw_patterns(const Tensor& rates, const Tensor& u, Guarantee guarantee);

}  // namespace elbo::detail
