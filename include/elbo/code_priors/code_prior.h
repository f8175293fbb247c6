#pragma once
#include <torch/nn/module.h>

#include <memory>
#include <optional>

#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/io/code_file.h"
#include "elbo/math/arithmetic.h"
#include "elbo/math/step.h"

namespace elbo {

/// What is known of an example before its codes.
struct CodeCondition {
  Tensor label = {};  // [B] int64, -1 where the class is not told; undefined = not told for any
  Tensor above = {};  // int64 [B, h', w', G'], the codes of the level above; undefined where there is none
};

/// How a code is drawn from its logits.
struct CodeSampling {
  double temperature = 1;  // divides the logits; 0 takes the most likely code
  int64_t top_k = 0;       // only the k most likely; 0 = all
  double top_p = 1;        // only the fewest most likely codes whose probabilities reach p
};

/// Of one level's codes. Shapes: [B]. Units: nats.
struct CodeLoss {
  Tensor value;  // what is minimised
  Tensor bound;  // log p(codes), or an unbiased estimate of a lower bound of it: of training's network, without its smoothing
};

/// p(codes of one level | class, codes of the level above). A position is a place (row by row) and a group, groups innermost:
/// T = h w G positions of V codes each.
class CodePrior : public torch::nn::Module {
 public:
  /// -log p, or the masked prediction's bound. Shapes: int64 [B, h, w, G] -> [B]. Gradient: of `value` alone.
  virtual CodeLoss loss(const Tensor& codes, const CodeCondition& condition, Step& step) = 0;
  /// Shapes: -> int64 [B, h, w, G].
  virtual Tensor sample(int64_t B, const CodeCondition& condition, const CodeSampling& sampling, Noise& noise) = 0;
  virtual const CodeGrid& grid() const = 0;
  /// "gated_pixel_cnn 8 x 64": for the first line of a run.
  virtual std::string summary() const = 0;
};

/// One pass over the positions that keeps what later ones need.
class CodeDecoding {
 public:
  virtual ~CodeDecoding() = default;
  /// The logits of the next position, given the code at the one before it ([B] int64; undefined at the first). Shapes: [B, V].
  virtual Tensor next(const Tensor& previous) = 0;
};

/// p(codes) = prod_t p(code_t | codes before t): a likelihood, that can be coded with.
class AutoregressiveCodePrior : public CodePrior {
 public:
  /// Of all positions, each given the true codes before it. `step` is what dropout draws from, null outside of training.
  /// Shapes: int64 [B, h, w, G] -> [B, T, V], unnormalised.
  virtual Tensor logits(const Tensor& codes, const CodeCondition& condition, Arithmetic& arithmetic, Step* step) = 0;
  /// A pass from the first position on. With exact arithmetic its logits are, bit for bit, those of logits().
  virtual std::unique_ptr<CodeDecoding> start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) = 0;

  /// Shapes: int64 [B, h, w, G] -> [B]. Units: nats.
  Tensor log_prob(const Tensor& codes, const CodeCondition& condition);
  CodeLoss loss(const Tensor& codes, const CodeCondition& condition, Step& step) override;
  Tensor sample(int64_t B, const CodeCondition& condition, const CodeSampling& sampling, Noise& noise) override;
};

/// Draws a code a row. Shapes: logits [B, V] (float) -> int64 [B].
/// Throws: UsageError for a temperature below 0, top_k below 0 or top_p outside (0, 1].
Tensor draw_codes(const Tensor& logits, const CodeSampling& sampling, Noise& noise);

struct CodePriorContext {
  CodeGrid grid = {};
  int64_t num_classes = 0;             // of the condition; 0: none. Networks have one row more, for a class that isn't told
  std::optional<CodeGrid> above = {};  // the codes of the level above, which this one is conditioned on
  Stream& init;                        // on the host: modules are built on the host, then moved
};

/// The axis `code_prior`.
Catalog<CodePrior, const CodePriorContext&>& code_priors();
using CodePriorChoice = Choice<CodePrior, const CodePriorContext&>;

}  // namespace elbo
