#pragma once
#include <memory>
#include <string>
#include <vector>

#include "above_network.h"
#include "elbo/code_priors/code_prior.h"

namespace elbo::detail {

struct CodeTokensOptions {
  std::string name = {};  // of the prior, for errors
  int64_t width = 0;
  int64_t extra_codes = 0;   // rows after the V codes: a mask's
  int64_t above_layers = 0;  // residual blocks over the codes of the level above
};

/// Codes as the positions of a sequence: a table of embeddings a group, one for each place and group, one for each class.
/// Parameters: codes.N [V + extra, width], places [T, width], classes [num_classes + 1, width], the last row for a class that
/// isn't told, and with a level above above.*. Throws: ConfigError where codes have no bound.
class CodeTokens final : public torch::nn::Module {
 public:
  CodeTokens(const CodeTokensOptions& options, const CodePriorContext& context);
  /// Shapes: int64 [B, h, w, G] -> [B, T, width].
  Tensor of_codes(const Tensor& codes) const;
  /// The codes of position t. Shapes: int64 [B] -> [B, width].
  Tensor of_position(int64_t t, const Tensor& codes) const;
  /// Shapes: -> [B, width].
  Tensor of_class(int64_t B, const CodeCondition& condition) const;
  /// What a position adds: its place and the features of the level above there. Shapes: -> [1 or B, T, width].
  Tensor of_places(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic);

  int64_t num_positions() const { return places_.size(0); }
  const CodeGrid& grid() const { return grid_; }
  /// Of group g. Shapes: [V + extra, width].
  const Tensor& table(int64_t g) const { return codes_[static_cast<size_t>(g)]; }

 private:
  CodeTokensOptions options_;
  CodeGrid grid_;
  int64_t num_classes_;
  std::optional<CodeGrid> above_grid_;
  std::vector<Tensor> codes_;
  Tensor places_, classes_;
  std::shared_ptr<AboveNetwork> above_;
};

/// From features to logits, a layer a group. Parameters: weight [V, width] unless it is told at each call, bias [V].
class CodeReadout final : public torch::nn::Module {
 public:
  enum class Weight { own, told };
  CodeReadout(int64_t V, int64_t width, Weight weight, Init start, Stream& init);
  /// Shapes: [..., width] -> [..., V].
  Tensor forward(const Tensor& x, Arithmetic& arithmetic, const Tensor& told = {}) const {
    return arithmetic.linear(x, told.defined() ? told : weight_, bias_);
  }

 private:
  Tensor weight_, bias_;
};

/// One a group, registered as output.N.
std::vector<std::shared_ptr<CodeReadout>> register_readouts(torch::nn::Module& parent, const CodeGrid& grid, int64_t width,
                                                            CodeReadout::Weight weight, Init start, Stream& init);
/// Each position by its group's; `tied` where their weights are its tables. Shapes: [B, T, width] -> [B, T, V].
Tensor read_out(const std::vector<std::shared_ptr<CodeReadout>>& readouts, const Tensor& features, Arithmetic& arithmetic,
                const CodeTokens* tied = nullptr);

}  // namespace elbo::detail
