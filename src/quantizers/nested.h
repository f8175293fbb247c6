#pragma once
#include <memory>
#include <string>
#include <vector>

#include "elbo/quantizers/quantizer.h"

namespace elbo::detail {

/// The quantisers below a composite one: one a part ("group0", "level3"), or one for all parts.
class NestedQuantizers {
 public:
  /// Registers them as quantizers.N of `parent`.
  NestedQuantizers(torch::nn::Module& parent, const QuantizerChoice& choice, int64_t parts, bool shared, std::string part_name,
                   const QuantizerContext& context);

  Quantizer& of(int64_t part) const { return *own_[shared() ? 0 : static_cast<size_t>(part)]; }
  /// One for several parts.
  bool shared() const { return own_.size() == 1 && parts_ > 1; }
  int64_t parts() const { return parts_; }
  const CodeSpace& space() const { return space_; }  // of one part
  /// "level0/".
  std::string prefix(int64_t part) const { return part_name_ + std::to_string(part) + "/"; }
  std::vector<Scheduled> scheduled() const;
  /// V of every group of every part.
  std::vector<int64_t> sizes() const;
  /// The columns of one part. Shapes: int64 [..., parts * G] -> [..., G].
  Tensor indices_of(const Tensor& indices, int64_t part) const;
  Tensor codebook(int64_t group) const { return of(group / space_.groups()).codebook(group % space_.groups()); }
  /// The lengths of all parts (or of the first ones, as many as there are columns), [B].
  Tensor code_length(const Tensor& indices) const;

 private:
  int64_t parts_;
  std::string part_name_;
  std::vector<std::shared_ptr<Quantizer>> own_ = {};
  CodeSpace space_ = {};
};

}  // namespace elbo::detail
