#include "elbo/models/code_prior.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/nn/layer.h"

namespace elbo {
namespace {

int64_t classes_of(const DataSpec& spec, const std::optional<std::string>& condition) {
  if (!condition) return 0;
  const auto found = spec.find(*condition);
  if (found == spec.end()) throw ConfigError("model.condition: this data set has no field " + in_quotes(*condition));
  const auto& field = found->second;
  if (field.kind == ValueKind::category && field.shape.empty() && field.num_classes > 0) return field.num_classes;
  throw ConfigError("model.condition: " + in_quotes(*condition) + " is not one class an example, of a known number of classes");
}

/// The extents of a level's codes, [1, h, w, G] or [1, T, G].
CodeGrid grid_of(const Tensor& codes, const CodeSpace& space, const std::string& level) {
  if (!space.bounded()) {
    throw ConfigError("model 'code_prior': the base's " + level +
                      " are any integers (a lattice); a prior needs codes of a known number");
  }
  const auto V = space.sizes.front();
  if (std::any_of(space.sizes.begin(), space.sizes.end(), [&](int64_t size) { return size != V; })) {
    throw ConfigError("model 'code_prior': the groups of the base's " + level +
                      " have different numbers of codes; a prior needs groups of one size");
  }
  const bool is_map = codes.dim() == 4;
  return {.height = is_map ? codes.size(1) : 1, .width = codes.size(is_map ? 2 : 1), .groups = space.groups(), .vocabulary = V};
}

}  // namespace

CodePriorModel::CodePriorModel(const CodePriorModelConfig& config, const ModelContext& context)
    : config_(config), base_(context.base), spec_(context.spec), num_classes_(classes_of(context.spec, config.condition)) {
  if (!base_) {
    throw ConfigError("model 'code_prior' builds on a finished model: name its run, base: {run: runs/…}");
  }
  quantized_ = dynamic_cast<Quantized*>(base_.get());
  if (!quantized_) {
    throw ConfigError("model 'code_prior' needs a base with codes (vq_vae, vq_vae_2, mcquic); this base is " +
                      std::string(base_->family()));
  }
  const torch::NoGradGuard no_grad;
  const auto codes = quantized_->codes(blank_rows(spec_, 1, at::kCPU));
  const auto quantizers = quantized_->quantizers();
  std::optional<CodeGrid> above;
  for (size_t i = 0; i < codes.size(); ++i) {
    const auto level = codes.size() > 1 ? text("codes of level ", i) : std::string("codes");
    fields_.push_back(codes.size() > 1 ? text("codes.", i) : "codes");
    shapes_.push_back(codes[i].sizes().slice(1).vec());
    const auto grid = grid_of(codes[i], quantizers.at(i)->code_space(), level);
    const torch::AutoGradMode with_gradients(true);
    priors_.push_back(config.prior.make({.grid = grid, .num_classes = num_classes_, .above = above, .init = context.init}));
    above = grid;
  }
  register_list(*this, "prior", priors_);
  register_module("base", base_);
}

std::string CodePriorModel::summary() const {
  std::vector<std::string> words;
  for (const auto& prior : priors_) {
    const auto& grid = prior->grid();
    words.push_back(text(prior->summary(), " over ", grid.height, "x", grid.width, grid.groups > 1 ? text("x", grid.groups) : "",
                         " codes of ", with_commas(grid.vocabulary)));
  }
  return join(words, ", ");
}

void CodePriorModel::train(bool on) {
  Model::train(on);
  base_->eval();
}

CodeCondition CodePriorModel::condition(size_t level, const std::vector<Tensor>& codes, const Tensor& label) const {
  CodeCondition known{.label = num_classes_ > 0 ? label : Tensor()};
  if (level > 0) known.above = on_grid(level - 1, codes.at(level - 1));
  return known;
}

Tensor CodePriorModel::on_grid(size_t level, const Tensor& codes) const {
  const auto& grid = priors_.at(level)->grid();
  return codes.reshape({codes.size(0), grid.height, grid.width, grid.groups});
}

Tensor CodePriorModel::labels(const Batch& batch) const {
  if (num_classes_ == 0 || !batch.has(*config_.condition)) return {};
  const auto& label = batch.fields.at(*config_.condition);
  return label.present.defined() ? label.value.masked_fill(label.present.logical_not(), -1) : label.value;
}

std::vector<CodeLoss> CodePriorModel::losses(const Batch& batch, Step& step) {
  const auto all = codes(batch);
  auto label = labels(batch);
  if (label.defined() && step.training && config_.unconditional > 0) {
    const auto left_out = step.streams.model.uniform({batch.size()}, {}) < config_.unconditional;
    label = label.masked_fill(left_out, -1);
  }
  std::vector<CodeLoss> losses;
  for (size_t i = 0; i < priors_.size(); ++i)
    losses.push_back(priors_[i]->loss(on_grid(i, all[i]), condition(i, all, label), step));
  return losses;
}

std::vector<Tensor> CodePriorModel::sample_codes(int64_t B, const Tensor& label, const CodeSampling& sampling, Noise& noise) {
  std::vector<Tensor> drawn;
  for (size_t i = 0; i < priors_.size(); ++i) {
    const auto codes = priors_[i]->sample(B, condition(i, drawn, label), sampling, noise);
    drawn.push_back(codes.reshape(joined({B}, shapes_[i])));
  }
  return drawn;
}

Tensor CodePriorModel::decode_codes(const std::vector<Tensor>& codes) {
  std::vector<Tensor> values;
  const auto levels = quantized_->quantizers();
  for (size_t i = 0; i < levels.size(); ++i) {
    values.push_back(levels[i]->decode(codes.at(i).reshape(joined({codes.at(i).size(0)}, shapes_[i]))));
  }
  return decode(values, blank_rows(spec_, values.front().size(0), values.front().device())).front().likelihood->mean();
}

std::vector<CodeLevel> CodePriorModel::quantize(const Batch& batch, Step& step) { return quantized_->quantize(batch, step); }

std::vector<Tensor> CodePriorModel::codes(const Batch& batch) {
  const torch::NoGradGuard no_grad;
  if (!batch.has(fields_.front())) return quantized_->codes(batch);
  std::vector<Tensor> known;
  for (const auto& field : fields_) known.push_back(batch.at(field));
  return known;
}

std::vector<Observation> CodePriorModel::decode(const std::vector<Tensor>& values, const Batch& batch) {
  return quantized_->decode(values, batch);
}

std::vector<Quantizer*> CodePriorModel::quantizers() { return quantized_->quantizers(); }

Tensor CodePriorModel::code_length(const std::vector<Tensor>& codes, const Batch& batch, Noise& noise) {
  Streams streams(0, codes.front().device());
  Collective alone;
  Step step{.training = false, .noise = noise, .streams = streams, .collective = alone};
  Tensor length;
  for (size_t i = 0; i < priors_.size(); ++i) {
    const auto of_level = priors_[i]->loss(on_grid(i, codes[i]), condition(i, codes, labels(batch)), step).value;
    length = length.defined() ? length + of_level : of_level;
  }
  return length;
}

Tensor CodePriorModel::sample(const Batch& given, double temperature, Noise& noise) {
  return decode_codes(sample_codes(given.size(), labels(given), {.temperature = temperature}, noise));
}

std::vector<std::string> CodePriorModel::conditions() const {
  return config_.condition ? std::vector<std::string>{*config_.condition} : std::vector<std::string>{};
}

Tensor CodePriorModel::reconstruct(const Batch& batch) { return decode_codes(quantized_->codes(batch)); }

std::string CodePriorModel::reconstructed_field() const {
  const auto* base = dynamic_cast<const Reconstructs*>(base_.get());
  return base ? base->reconstructed_field() : "x";
}

std::shared_ptr<Model> make_code_prior(const CodePriorModelConfig& config, const ModelContext& context) {
  return std::make_shared<CodePriorModel>(config, context);
}

}  // namespace elbo
