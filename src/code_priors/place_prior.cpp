#include "place_prior.h"

#include <ATen/ops/arange.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/relu.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/where.h>

#include "above_network.h"
#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

/// One group's way from the state of its place to logits. Shapes: [..., width] -> [..., V].
class GroupHead final : public torch::nn::Module {
 public:
  GroupHead(int64_t width, int64_t V, Stream& init) {
    hidden_ = register_module("hidden", std::make_shared<Layer>(LayerOptions{.in = width, .out = width}, init));
    output_ = register_module("output", std::make_shared<Layer>(LayerOptions{.in = width, .out = V}, init));
  }
  Tensor forward(const Tensor& state, Arithmetic& arithmetic) {
    const auto hidden = arithmetic.linear(at::relu(state), hidden_->weight(), hidden_->bias());
    return arithmetic.linear(at::relu(hidden), output_->weight(), output_->bias());
  }

 private:
  std::shared_ptr<Layer> hidden_, output_;
};

class PlacePrior final : public AutoregressiveCodePrior {
 public:
  PlacePrior(const PlacePriorOptions& options, const CodePriorContext& context,
             const std::function<std::shared_ptr<PlaceNetwork>(const PlaceNetworkContext&)>& make_network)
      : options_(options), grid_(context.grid), num_classes_(context.num_classes), above_grid_(context.above) {
    const auto V = grid_.vocabulary, G = grid_.groups, width = options.width;
    if (V < 1 || (above_grid_ && above_grid_->vocabulary < 1)) {
      throw ConfigError(options.name + ": codes have no bound; choose a quantiser whose codebook is finite");
    }
    check_num_parameters(static_cast<double>((3 * G - 1) * V * width), options.name);
    codes_ = register_tables(*this, "codes", grid_, G, width, context.init);
    earlier_ = register_tables(*this, "earlier", grid_, G - 1, width, context.init);
    network_ = register_module(
        "network",
        make_network(
            {.width = width, .num_classes = num_classes_, .above_channels = above_grid_ ? width : 0, .init = context.init}));
    if (above_grid_) {
      above_ = register_module("above", std::make_shared<AboveNetwork>(*above_grid_, width, options.above_layers, context.init));
    }
    for (int64_t g = 0; g < G; ++g) heads_.push_back(std::make_shared<GroupHead>(width, V, context.init));
    register_list(*this, "heads", heads_);
  }

  Tensor logits(const Tensor& codes, const CodeCondition& condition, Arithmetic& arithmetic, Step* step) override {
    const auto G = grid_.groups;
    check_shape(codes, {kAnyExtent, grid_.height, grid_.width, G}, "codes of the " + options_.name);
    WholeScan scan(embedding(codes), arithmetic, step, place_condition(codes.size(0), condition, arithmetic));
    auto state = network_->features(scan).flatten(2).transpose(1, 2);  // [B, h w, width]
    std::vector<Tensor> groups = {head(0, state, arithmetic)};
    for (int64_t g = 1; g < G; ++g) {
      state = with_group(state, g - 1, codes.select(3, g - 1).flatten(1));
      groups.push_back(head(g, state, arithmetic));
    }
    return at::stack(groups, 2).flatten(1, 2);
  }

  std::unique_ptr<CodeDecoding> start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) override;

  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override { return options_.summary; }

  // For the decoding of the places one by one.
  PlaceNetwork& network() { return *network_; }
  int64_t reach() const { return options_.reach; }
  const std::string& title() const { return options_.name; }
  at::TensorOptions code_options() const { return codes_[0].options().requires_grad(false); }
  int64_t width() const { return options_.width; }
  /// Shapes: [B, h, w, G] -> [B, width, h, w].
  Tensor embedding(const Tensor& codes) const { return embedded(codes_, codes).permute({0, 3, 1, 2}); }
  Tensor head(int64_t g, const Tensor& state, Arithmetic& arithmetic) {
    return heads_[static_cast<size_t>(g)]->forward(state, arithmetic);
  }
  /// What the code of group g adds for the groups after it. Shapes: state [..., width], codes [...].
  Tensor with_group(const Tensor& state, int64_t g, const Tensor& codes) const {
    return state + at::embedding(earlier_[static_cast<size_t>(g)], codes);
  }
  PlaceCondition place_condition(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) {
    const auto options = code_options().dtype(at::kLong);
    PlaceCondition place;
    if (num_classes_ > 0) {
      place.label = at::full({B}, num_classes_, options);
      if (condition.label.defined()) {
        check_shape(condition.label, {B}, "classes of the " + options_.name);
        place.label = at::where(condition.label < 0, place.label, condition.label);
      }
    }
    if (condition.above.defined() != above_grid_.has_value()) {
      throw UsageError(options_.name + (above_grid_ ? ": was built for codes of a level above, and got none"
                                                    : ": got codes of a level above, and was built without"));
    }
    if (above_grid_) {
      check_shape(condition.above, {B, kAnyExtent, kAnyExtent, kAnyExtent}, "codes of the level above");
      place.above = above_->forward(condition.above, arithmetic);
      place.above_row = at::arange(grid_.height, options).mul(above_grid_->height).floor_divide(grid_.height);
      place.above_column = at::arange(grid_.width, options).mul(above_grid_->width).floor_divide(grid_.width);
    }
    return place;
  }

 private:
  PlacePriorOptions options_;
  CodeGrid grid_;
  int64_t num_classes_ = 0;
  std::optional<CodeGrid> above_grid_;
  // Modules move and convert their parameters in place: these stay the same tensors.
  std::vector<Tensor> codes_, earlier_;
  std::shared_ptr<PlaceNetwork> network_;
  std::shared_ptr<AboveNetwork> above_;
  std::vector<std::shared_ptr<GroupHead>> heads_;
};

class PlaceDecoding final : public CodeDecoding {
 public:
  PlaceDecoding(PlacePrior& prior, int64_t B, const CodeCondition& condition, Arithmetic& arithmetic)
      : prior_(prior),
        arithmetic_(arithmetic),
        codes_(at::empty({B, 1, 1, prior.grid().groups}, prior.code_options().dtype(at::kLong))),
        map_(std::make_shared<GrowingMap>(prior.grid().height, prior.grid().width, prior.reach())),
        scan_({B, prior.grid().height, prior.grid().width}, map_, arithmetic, prior.place_condition(B, condition, arithmetic)) {
    map_->clear(B, prior.width(), prior.code_options());
  }

  Tensor next(const Tensor& previous) override {
    const torch::NoGradGuard no_grad;
    const auto& grid = prior_.grid();
    const auto G = grid.groups;
    if (position_ == grid.height * grid.width * G) {
      throw UsageError(prior_.title() + ": asked for a position after the last; start a new pass");
    }
    const int64_t place = position_ / G, g = position_ % G;
    if (position_ > 0) {
      check_shape(previous, {codes_.size(0)}, "codes of the position before");
      codes_.select(3, g > 0 ? g - 1 : G - 1).copy_(previous.view({-1, 1, 1}));
    }
    if (g > 0) {
      state_ = prior_.with_group(state_, g - 1, previous);
    } else {
      if (place > 0) map_->put(prior_.embedding(codes_), (place - 1) / grid.width, (place - 1) % grid.width);
      scan_.go_to_place(place / grid.width, place % grid.width);
      state_ = prior_.network().features(scan_).flatten(1);
    }
    ++position_;
    return prior_.head(g, state_, arithmetic_);
  }

 private:
  PlacePrior& prior_;
  Arithmetic& arithmetic_;
  Tensor codes_;  // of the place before, or of this one so far
  std::shared_ptr<GrowingMap> map_;
  PartScan scan_;
  Tensor state_ = {};
  int64_t position_ = 0;
};

std::unique_ptr<CodeDecoding> PlacePrior::start(int64_t B, const CodeCondition& condition, Arithmetic& arithmetic) {
  const torch::NoGradGuard no_grad;
  return std::make_unique<PlaceDecoding>(*this, B, condition, arithmetic);
}

}  // namespace

std::shared_ptr<AutoregressiveCodePrior> make_place_prior(
    const PlacePriorOptions& options, const CodePriorContext& context,
    const std::function<std::shared_ptr<PlaceNetwork>(const PlaceNetworkContext&)>& make_network) {
  return std::make_shared<PlacePrior>(options, context, make_network);
}

}  // namespace elbo::detail
