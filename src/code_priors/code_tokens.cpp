#include "code_tokens.h"

#include <torch/nn/modules/container/parameterlist.h>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/init.h"

namespace elbo::detail {
namespace {

constexpr double kTokenSpread = 0.02;  // of all embeddings at the start

}  // namespace

CodeTokens::CodeTokens(const CodeTokensOptions& options, const CodePriorContext& context)
    : options_(options), grid_(context.grid), num_classes_(context.num_classes), above_grid_(context.above) {
  if (grid_.vocabulary < 1 || (above_grid_ && above_grid_->vocabulary < 1)) {
    throw ConfigError(options.name + ": codes have no bound; choose a quantiser whose codebook is finite");
  }
  const auto rows = grid_.vocabulary + options.extra_codes, T = grid_.height * grid_.width * grid_.groups;
  check_num_parameters(static_cast<double>(2 * grid_.groups * rows + T) * static_cast<double>(options.width), options.name);
  torch::nn::ParameterList tables;
  for (int64_t g = 0; g < grid_.groups; ++g) {
    tables->append(normal_table(rows, options.width, kTokenSpread, context.init).requires_grad_());  // append doesn't ask for it
  }
  register_module("codes", tables);
  codes_ = tables->parameters();
  places_ = register_parameter("places", normal_table(T, options.width, kTokenSpread, context.init));
  classes_ = register_parameter("classes", normal_table(num_classes_ + 1, options.width, kTokenSpread, context.init));
  if (above_grid_) {
    above_ =
        register_module("above", std::make_shared<AboveNetwork>(*above_grid_, options.width, options.above_layers, context.init));
  }
}

Tensor CodeTokens::of_codes(const Tensor& codes) const {
  check_shape(codes, {kAnyExtent, grid_.height, grid_.width, grid_.groups}, "codes of the " + options_.name);
  std::vector<Tensor> groups;
  for (int64_t g = 0; g < grid_.groups; ++g) groups.push_back(at::embedding(table(g), codes.select(3, g).flatten(1)));
  return groups.size() == 1 ? groups[0] : at::stack(groups, 2).flatten(1, 2);
}

Tensor CodeTokens::of_position(int64_t t, const Tensor& codes) const { return at::embedding(table(t % grid_.groups), codes); }

Tensor CodeTokens::of_class(int64_t B, const CodeCondition& condition) const {
  auto row = at::full({B}, num_classes_, places_.options().dtype(at::kLong));
  if (num_classes_ > 0 && condition.label.defined()) {
    check_shape(condition.label, {B}, "classes of the " + options_.name);
    row = at::where(condition.label < 0, row, condition.label);
  }
  return at::embedding(classes_, row);
}

Tensor CodeTokens::of_places(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) {
  if (condition.above.defined() != above_grid_.has_value()) {
    throw UsageError(options_.name + (above_grid_ ? ": was built for codes of a level above, and got none"
                                                  : ": got codes of a level above, and was built without"));
  }
  if (!above_grid_) return places_.unsqueeze(0);
  check_shape(condition.above, {B, kAnyExtent, kAnyExtent, kAnyExtent}, "codes of the level above");
  const auto index = at::TensorOptions(at::kLong).device(places_.device());
  const auto row = at::arange(grid_.height, index).mul(above_grid_->height).floor_divide(grid_.height);
  const auto column = at::arange(grid_.width, index).mul(above_grid_->width).floor_divide(grid_.width);
  const auto features = above_->forward(condition.above, arithmetic).index_select(2, row).index_select(3, column);
  const auto a_place = features.flatten(2).transpose(1, 2).unsqueeze(2);  // [B, h w, 1, width]
  return places_ + a_place.expand({-1, -1, grid_.groups, -1}).flatten(1, 2);
}

CodeReadout::CodeReadout(int64_t V, int64_t width, Weight weight, Init start, Stream& init) {
  auto own = torch::zeros({V, width});
  bias_ = register_parameter("bias", torch::zeros({V}));
  Tensor no_bias;  // uniform noise on it would only be in the way of the first steps
  init_weight(own, no_bias, start, init);
  if (weight == Weight::own) weight_ = register_parameter("weight", own);
}

std::vector<std::shared_ptr<CodeReadout>> register_readouts(torch::nn::Module& parent, const CodeGrid& grid, int64_t width,
                                                            CodeReadout::Weight weight, Init start, Stream& init) {
  std::vector<std::shared_ptr<CodeReadout>> readouts;
  for (int64_t g = 0; g < grid.groups; ++g) {
    readouts.push_back(std::make_shared<CodeReadout>(grid.vocabulary, width, weight, start, init));
  }
  register_list(parent, "output", readouts);
  return readouts;
}

Tensor read_out(const std::vector<std::shared_ptr<CodeReadout>>& readouts, const Tensor& features, Arithmetic& arithmetic,
                const CodeTokens* tied) {
  const auto G = static_cast<int64_t>(readouts.size());
  const auto groups = features.unflatten(1, {-1, G});
  std::vector<Tensor> logits;
  for (int64_t g = 0; g < G; ++g) {
    const auto& readout = *readouts[static_cast<size_t>(g)];
    logits.push_back(readout.forward(groups.select(2, g), arithmetic, tied ? tied->table(g) : Tensor()));
  }
  return G == 1 ? logits[0] : at::stack(logits, 2).flatten(1, 2);
}

}  // namespace elbo::detail
