#pragma once
#include <string>
#include <vector>

#include "elbo/data/batch.h"
#include "elbo/data/spec.h"
#include "elbo/math/random.h"

namespace elbo {

// What a model can do beyond its family; found at the command line's edge by dynamic_cast.

/// Draws new data. Shapes: [B, event...] of field x: the likelihood's mean (what one looks at).
class Samples {
 public:
  virtual ~Samples() = default;
  /// A sample for each row of `given`, which holds the conditions (none for most models).
  virtual Tensor sample(const Batch& given, double temperature, Noise& noise) = 0;
  /// The fields that `given` must hold.
  virtual std::vector<std::string> conditions() const { return {}; }
  /// What the latents are drawn from, where a person should know before looking; else nothing.
  virtual std::string sampled_from() const { return {}; }
};

/// A batch of `count` rows without fields: what an unconditional model samples.
Batch rows_without_fields(int64_t count);

/// Rows of zeros with every field of the data, where a model must be given rows and doesn't look at what they hold.
Batch blank_rows(const DataSpec& spec, int64_t count, at::Device device = at::kCPU);

/// Gives each row back through its code. Shapes: [B, event...].
class Reconstructs {
 public:
  virtual ~Reconstructs() = default;
  virtual Tensor reconstruct(const Batch& batch) = 0;
  /// The field that is given back: another than what was read where a model enlarges pictures.
  virtual std::string reconstructed_field() const { return "x"; }
};

/// Gives a code for each row: the posterior's mean. Shapes: [B, D].
class Encodes {
 public:
  virtual ~Encodes() = default;
  virtual Tensor encode(const Batch& batch) = 0;
};

/// Gives data for codes, e.g. along a traversal. Shapes: z [B, D] -> [B, event...], the likelihood's mean; `given` holds the
/// conditions of the rows.
class Decodes {
 public:
  virtual ~Decodes() = default;
  virtual int64_t code_size() const = 0;
  virtual Tensor decode_code(const Tensor& z, const Batch& given) = 0;
};

}  // namespace elbo
