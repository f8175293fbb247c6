#include "elbo/experiment/codec.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/experiment/experiment.h"
#include "elbo/models/abilities.h"
#include "elbo/models/code_prior.h"

namespace elbo {
namespace {

constexpr int64_t kMostCodes = int64_t{1} << 21;  // of a group: what frequencies have room for

CodeAlphabet alphabet_of(const Shape& shape, const CodeSpace& space) {
  if (shape.size() < 2 || shape.size() > 3) {
    throw UsageError("codec: an image's codes have the shape " + shape_text(shape) + ", expected [h, w, G] or [T, G]");
  }
  const auto largest = *std::max_element(space.sizes.begin(), space.sizes.end());
  if (largest > kMostCodes) {
    throw UsageError(text("codec: the model has ", with_commas(largest), " codes, more than the ", with_commas(kMostCodes),
                          " that one symbol can have; train it with more groups of fewer codes"));
  }
  const bool is_map = shape.size() == 3;
  return {.grid = {.height = is_map ? shape[0] : 1,
                   .width = shape[is_map ? 1 : 0],
                   .groups = space.groups(),
                   .vocabulary = space.bounded() ? largest : 0},
          .sizes = space.sizes};
}

}  // namespace

CodecParts codec_parts(Model& model, const DataSpec& spec, at::Device device) {
  CodecParts parts{.spec = spec, .device = device};
  auto* second_stage = dynamic_cast<CodePriorModel*>(&model);
  parts.model = dynamic_cast<Quantized*>(second_stage ? &second_stage->base() : &model);
  if (!parts.model || !spec.contains("x")) {
    throw UsageError("this model is " + std::string(model.family()) +
                     ", which has no codes to compress; vq_vae, vq_vae_2, mcquic and code_prior over one of them have");
  }
  if (!second_stage) {
    parts.why_no_prior = "this run has no prior over its codes: train a second stage, model code_prior with this run as its base";
    return parts;
  }
  for (size_t level = 0; level < second_stage->num_levels(); ++level) {
    auto* prior = dynamic_cast<AutoregressiveCodePrior*>(&second_stage->prior(level));
    if (!prior) {
      parts.priors.clear();
      parts.why_no_prior = "the prior of this run, " + second_stage->prior(level).summary() +
                           ", gives no probabilities of codes one after the other, so it can't code; transformer, pixel_cnn, "
                           "gated_pixel_cnn and pixel_snail can";
      break;
    }
    parts.priors.push_back(prior);
  }
  return parts;
}

CodecParts codec_parts(const OpenedRun& run) {
  const auto& state = run.checkpoint.state();
  auto parts = codec_parts(*run.experiment.model, state.data_spec, run.experiment.runtime.device);
  // The codes are those of the model below the priors: one, or several where a prior builds on a prior's run.
  size_t num_priors = 0;
  Model* model = run.experiment.model.get();
  for (; auto* prior = dynamic_cast<CodePriorModel*>(model); ++num_priors) model = &prior->base();
  parts.model_hash = num_priors > 0 ? state.bases.at(num_priors - 1).weights_sha256 : run.checkpoint.model_sha256();
  if (num_priors > 0 && !parts.priors.empty()) parts.prior_hash = run.checkpoint.model_sha256();
  return parts;
}

Codec::Codec(CodecParts parts) : parts_(std::move(parts)) {
  const auto& x = this->x();
  if (x.kind == ValueKind::table || x.kind == ValueKind::category || x.shape.empty() || x.shape.size() > 3) {
    throw UsageError("codec: compresses images and vectors of numbers, and this model's x is of shape " + shape_text(x.shape) +
                     "; elbo encode writes the codes of any data");
  }
  const torch::NoGradGuard no_grad;
  const auto codes = parts_.model->codes(blank_rows(parts_.spec, 1, parts_.device));
  const auto quantizers = parts_.model->quantizers();
  for (size_t level = 0; level < codes.size(); ++level) {
    code_shapes_.push_back(codes[level].sizes().slice(1).vec());
    alphabets_.push_back(alphabet_of(code_shapes_.back(), quantizers.at(level)->code_space()));
  }
  if (codes_per_image() > kMaxCodesPerStream) {
    throw UsageError(text("codec: an image has ", with_commas(codes_per_image()), " codes, more than the ",
                          with_commas(kMaxCodesPerStream), " of a stream"));
  }
  for (size_t level = 0; level < parts_.priors.size(); ++level) {
    if (!(parts_.priors[level]->grid() == alphabets_.at(level).grid)) {
      throw UsageError(text("codec: the prior of level ", level, " is over other codes than the model's"));
    }
  }
}

std::vector<CodeGrid> Codec::grids() const {
  std::vector<CodeGrid> grids;
  for (const auto& alphabet : alphabets_) grids.push_back(alphabet.grid);
  return grids;
}

int64_t Codec::codes_per_image() const {
  int64_t count = 0;
  for (const auto& alphabet : alphabets_) count += alphabet.grid.height * alphabet.grid.width * alphabet.grid.groups;
  return count;
}

Shape Codec::image_shape() const {
  Shape shape(3 - x().shape.size(), 1);
  shape.insert(shape.end(), x().shape.begin(), x().shape.end());
  return shape;
}

int64_t Codec::images_at_once() const {
  constexpr int64_t kNumbers = 1 << 22;
  return std::clamp<int64_t>(kNumbers / c10::multiply_integers(x().shape), 1, 256);
}

std::vector<Tensor> Codec::encode(const Tensor& x) {
  const torch::NoGradGuard no_grad;
  auto rows = blank_rows(parts_.spec, x.size(0), parts_.device);
  rows.fields["x"].value = x.to(parts_.device, at::kFloat);
  auto codes = parts_.model->codes(rows);
  for (size_t level = 0; level < codes.size(); ++level) {
    const auto& grid = alphabets_[level].grid;
    codes[level] = codes[level].cpu().reshape({x.size(0), grid.height, grid.width, grid.groups});
  }
  return codes;
}

Tensor Codec::decode(const std::vector<Tensor>& codes) {
  const torch::NoGradGuard no_grad;
  const auto B = codes.at(0).size(0);
  const auto quantizers = parts_.model->quantizers();
  std::vector<Tensor> values;
  for (size_t level = 0; level < codes.size(); ++level) {
    const auto native = codes[level].to(parts_.device).reshape(joined({B}, code_shapes_[level]));
    values.push_back(quantizers.at(level)->decode(native));
  }
  // A likelihood's mean doesn't look at the data.
  const auto observations = parts_.model->decode(values, blank_rows(parts_.spec, B, parts_.device));
  const auto& seen = observations.front();
  return (seen.reported ? seen.reported : seen.likelihood)->mean().to(at::kCPU, at::kFloat).contiguous();
}

}  // namespace elbo
