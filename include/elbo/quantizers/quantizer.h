#pragma once
#include <torch/nn/module.h>

#include <string>
#include <vector>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/math/scheduled.h"
#include "elbo/math/step.h"

namespace elbo {

/// Which codes a quantiser has. A token is a row of numbers; its code is one index in each of G groups.
struct CodeSpace {
  int64_t input_size = 0;           // of a token as the encoder gives it
  int64_t output_size = 0;          // of a token as the decoder reads it
  std::vector<int64_t> sizes = {};  // V of each group; 0 = without bound (a lattice)

  int64_t groups() const { return static_cast<int64_t>(sizes.size()); }
  bool bounded() const;
  /// sum_g log2 V_g; NaN without bound.
  double bits_per_token() const;
};

/// One term of a quantiser's loss, unweighted. Units: nats where it is a divergence, else squared units of the code.
struct QuantizerTerm {
  std::string name = {};  // codebook, commitment, kl, entropy, …
  Tensor value = {};      // [B], summed over tokens and code dimensions; 0-dim where it couples the batch
  Tensor weight = {};     // 0-dim; undefined = 1
  double elements = 1;    // how many numbers of an example it sums: what `reduction: mean` divides by
};

/// A number to watch: detached, 0-dim.
struct Reading {
  std::string name = {};  // temperature, mean_scale, …
  Tensor value = {};
};

/// What a quantiser makes of a batch of tokens.
struct Quantization {
  Tensor value = {};    // [B, ..., output_size]: what the decoder reads; carries the encoder's gradient
  Tensor indices = {};  // int64 [B, ..., G]; -1 = left out; undefined where training draws no codes
  std::vector<QuantizerTerm> terms = {};
  Tensor continuous = {};  // like value: decoded too where defined, both likelihoods averaged (VAEVQ)
  Tensor target = {};      // like value, detached: what it stands for where that isn't the token as given (bounded, normalised)
  Tensor log_probs = {};   // [B, ..., G, V] where the assignment is soft, else undefined
  std::vector<Reading> readings = {};
};

/// Turns tokens into discrete codes and back. It reads plain rows: [B, D], or [B, T, D], [B, H, W, D] with channels last; the
/// first extent counts examples. Its arithmetic is float32 or wider, whatever the precision of the network around it; only the
/// gradients of its products may be rounded to TF32 where the step may.
/// Between forward and backward nothing changes: what codebooks, counts and multipliers learn from the tokens of a step is kept
/// by forward (in training only; several calls add up) and applied by after_step.
class Quantizer : public torch::nn::Module, public Stepped {
 public:
  /// `mask` [B, ...] bool: tokens that count; undefined = all. A token that doesn't count adds nothing to terms, counts or
  /// statistics and its value is whatever decode() would give.
  virtual Quantization forward(const Tensor& z, Step& step, const Tensor& mask = {}) = 0;
  /// Shapes: [B, ..., input_size] -> int64 [B, ..., G]. Deterministic, each token by itself, changes nothing.
  virtual Tensor encode(const Tensor& z) = 0;
  /// Shapes: int64 [B, ..., G] -> [B, ..., output_size]: bit for bit the value of a forward pass in evaluation.
  virtual Tensor decode(const Tensor& indices) = 0;
  virtual CodeSpace code_space() const = 0;
  /// The codes as they are compared and decoded, [V, size]; undefined where they are implicit.
  virtual Tensor codebook(int64_t /*group*/ = 0) { return {}; }
  /// Looks at the first batch's tokens (k-means); called once in the life of a run, without gradients.
  virtual void initialise(const Tensor& /*z*/, Step& /*step*/) {}
  /// Numbers that the trainer refills before each step.
  virtual std::vector<Scheduled> scheduled() { return {}; }
  void after_step(const Step& /*step*/) override {}
  /// -log p(codes) before a prior is learnt: uniform over each group's codes. A lattice has a universal code for integers.
  /// Shapes: int64 [B, ..., G] -> [B]. Units: nats. Left-out indices (-1) cost nothing.
  virtual Tensor code_length(const Tensor& indices) const;
};

struct QuantizerContext {
  Stream& init;                  // on the host: modules are built on the host, then moved
  at::Device device = at::kCPU;  // where scheduled numbers live
};

/// The axis `quantizer`.
Catalog<Quantizer, const QuantizerContext&>& quantizers();
using QuantizerChoice = Choice<Quantizer, const QuantizerContext&>;

}  // namespace elbo
