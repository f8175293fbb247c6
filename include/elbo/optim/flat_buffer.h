#pragma once
#include <string>
#include <vector>

#include "elbo/math/shapes.h"

namespace elbo {

struct NamedTensor {
  std::string name = {};
  Tensor tensor = {};
};

/// The parameters that one owner (a phase of training) updates.
struct ParameterSet {
  std::string owner = {};
  std::vector<NamedTensor> parameters = {};
};

/// A stretch of the flat buffers that exactly the same owners update.
struct FlatSegment {
  Tensor parameters = {};  // [N]
  Tensor gradients = {};   // [N]
};

/// Where one parameter lies in the flat buffers.
struct FlatSlot {
  std::string name = {};  // of the first of several tied parameters
  int64_t segment = 0;
  int64_t offset = 0;  // in its segment
  Shape shape = {};

  /// The parameter's part of a tensor laid out like its segment.
  Tensor of(const Tensor& flat_segment) const;
};

/// Makes every parameter a view of one flat buffer and its .grad a view of another, so that an optimiser, a norm or a fill is one
/// operation. Tied parameters (same memory) take one slot; each slot starts at a multiple of 16 elements, and the padding stays
/// zero. Afterwards the modules must not be moved, and their gradients not be undefined (Module::zero_grad does): use zero_grad
/// here. Throws: UsageError for parameters that overlap in part, are no leaves, or differ in type or device.
class FlatBuffers {
 public:
  explicit FlatBuffers(const std::vector<ParameterSet>& owners);

  const std::vector<FlatSegment>& segments() const { return segments_; }
  const std::vector<FlatSlot>& slots() const { return slots_; }
  /// The numbers of the segments that make up an owner's parameters, in the order of the constructor's argument.
  const std::vector<int64_t>& segments_of(size_t owner) const { return segments_of_.at(owner); }
  /// All parameters and all gradients, segments one after the other, [N].
  const Tensor& parameters() const { return parameters_; }
  const Tensor& gradients() const { return gradients_; }
  /// The stretch of a tensor laid out like parameters() that belongs to a slot, in the slot's shape.
  Tensor slice(const Tensor& flat, const FlatSlot& slot) const;
  /// Trainable numbers, padding left out.
  int64_t num_parameters() const;
  void zero_grad();

 private:
  Tensor parameters_;
  Tensor gradients_;
  std::vector<FlatSegment> segments_ = {};
  std::vector<int64_t> segment_starts_ = {};
  std::vector<FlatSlot> slots_ = {};
  std::vector<std::vector<int64_t>> segments_of_ = {};
};

}  // namespace elbo
