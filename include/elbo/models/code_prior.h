#pragma once
#include <optional>
#include <string>
#include <vector>

#include "elbo/code_priors/code_prior.h"
#include "elbo/models/abilities.h"
#include "elbo/models/model.h"

namespace elbo {

/// A prior over the codes of a finished model, the base, which stays as it is: p(codes | class), of several levels from the top
/// down, each given the one above. Its run is a second stage (`base:` in the config).
struct CodePriorModelConfig {
  CodePriorChoice prior{code_priors, "transformer"};
  std::optional<std::string> condition = {};
  double unconditional = 0.1;

  template <class F>
  void fields(F& field) {
    field("prior", prior, "the network that gives codes their probabilities; of several levels each has one");
    field("condition", condition, "the field that holds an example's class; without one the prior is unconditional");
    field("unconditional", unconditional,
          "share of the training rows whose class is left out, so that codes of an unknown class can be drawn and coded too",
          between(0.0, 1.0));
  }
};

/// Reads field `x`, which the base encodes, or `codes` (`codes.0`, … of several levels) where they have been made. Parameters:
/// prior.N.* of each level, top first; base.*, frozen.
class CodePriorModel final : public Model, public Quantized, public Samples, public Reconstructs {
 public:
  /// Throws: ConfigError where there is no base, it isn't quantised, or its codes have no bound.
  CodePriorModel(const CodePriorModelConfig& config, const ModelContext& context);

  std::string_view family() const override { return "code_prior"; }
  /// The base stays in evaluation mode.
  void train(bool on = true) override;
  std::string summary() const override;

  Model& base() { return *base_; }
  size_t num_levels() const { return priors_.size(); }
  CodePrior& prior(size_t level) { return *priors_.at(level); }
  /// What a level's prior is given: the class and the codes of the level above. `codes` holds those of the levels above it at
  /// least. Shapes: label int64 [B], -1 = not told; undefined = not told for any.
  CodeCondition condition(size_t level, const std::vector<Tensor>& codes, const Tensor& label) const;
  /// The rows' classes, -1 where a row's is missing; undefined where the model is unconditional or the batch lacks them.
  Tensor labels(const Batch& batch) const;
  /// Of every level. In training some classes are left out.
  std::vector<CodeLoss> losses(const Batch& batch, Step& step);
  /// Codes of every level, each int64 [B, h, w, G]. Shapes: label as in condition().
  std::vector<Tensor> sample_codes(int64_t B, const Tensor& label, const CodeSampling& sampling, Noise& noise);
  /// The mean of p(x | codes), through the base.
  Tensor decode_codes(const std::vector<Tensor>& codes);

  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override;
  std::vector<Tensor> codes(const Batch& batch) override;
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override;
  std::vector<Quantizer*> quantizers() override;
  /// -log p(codes) under the priors; of a masked one an upper bound of it.
  Tensor code_length(const std::vector<Tensor>& codes, const Batch& batch, Noise& noise) override;

  Tensor sample(const Batch& given, double temperature, Noise& noise) override;
  std::vector<std::string> conditions() const override;
  Tensor reconstruct(const Batch& batch) override;
  std::string reconstructed_field() const override;

  /// The batch's fields that hold the codes, a level each.
  const std::vector<std::string>& code_fields() const { return fields_; }

 private:
  /// As the prior of a level reads them: [B, h, w, G].
  Tensor on_grid(size_t level, const Tensor& codes) const;

  CodePriorModelConfig config_;
  std::shared_ptr<Model> base_;
  Quantized* quantized_ = nullptr;
  DataSpec spec_ = {};
  int64_t num_classes_ = 0;
  std::vector<std::string> fields_ = {};
  std::vector<Shape> shapes_ = {};  // of an example's codes as the base gives them, a level each
  std::vector<std::shared_ptr<CodePrior>> priors_ = {};
};

std::shared_ptr<Model> make_code_prior(const CodePriorModelConfig& config, const ModelContext& context);

}  // namespace elbo
