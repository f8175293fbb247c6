#include "elbo/nn/feature_distance.h"

#include <torch/csrc/jit/api/module.h>
#include <torch/csrc/jit/serialization/import.h>

#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/precision.h"
#include "elbo/math/upload.h"
#include "elbo/nn/layer.h"

namespace elbo {
namespace {

/// 3 x 3 convolutions, each after the first of stride 2, with ReLU; every one's output is a map.
class RandomFeatures {
 public:
  std::vector<Tensor> operator()(const Tensor& x) {
    if (convs_.empty()) build(x);
    if (convs_.front()->bias().device() != x.device()) {
      for (const auto& conv : convs_) conv->to(x.device());
    }
    std::vector<Tensor> maps;
    auto h = x;
    for (const auto& conv : convs_) maps.push_back(h = torch::relu(conv->forward(h)));
    return maps;
  }

 private:
  void build(const Tensor& x) {
    constexpr uint64_t kSeed = 1;  // not the run's: distances of different runs are the same
    Stream init(kSeed, "features", at::kCPU);
    int64_t from = x.size(1);
    for (const int64_t to : {16, 32, 64}) {
      const LayerOptions options{.kind = LayerKind::conv,
                                 .in = from,
                                 .out = to,
                                 .kernel = 3,
                                 .stride = convs_.empty() ? 1 : 2,
                                 .padding = 1,
                                 .init = WeightInit::he_normal};
      convs_.push_back(std::make_shared<Layer>(options, init));
      for (auto& parameter : convs_.back()->parameters()) parameter.requires_grad_(false);
      from = to;
    }
  }
  std::vector<std::shared_ptr<Layer>> convs_ = {};
};

std::vector<Tensor> maps_of(const c10::IValue& output, const std::string& network) {
  std::vector<Tensor> maps;
  if (output.isTensorList()) {
    maps = output.toTensorVector();
  } else if (output.isTuple()) {
    for (const auto& map : output.toTupleRef().elements()) {
      if (map.isTensor()) maps.push_back(map.toTensor());
    }
  } else if (output.isTensor()) {
    maps = {output.toTensor()};
  }
  for (const auto& map : maps) {
    if (map.dim() != 4) maps.clear();
  }
  if (!maps.empty()) return maps;
  throw ConfigError("the feature network " + network + " gave " + output.tagKind() +
                    ", expected a list or tuple of maps [B, c, h, w]");
}

/// A few numbers of the host, of the type and on the device of `like`, without waiting for what the device has to do.
Tensor placed(const Tensor& numbers, const Tensor& like) { return upload(numbers.to(like.scalar_type()), like.device()); }

/// What its method `channel_weights` gives, each of one dimension.
std::vector<Tensor> channel_weights_of(torch::jit::Module& module, const std::string& network) {
  const auto method = module.find_method("channel_weights");
  if (!method) return {};
  const torch::NoGradGuard no_grad;
  const auto output = (*method)({});
  if (!output.isTensorList()) {
    throw ConfigError("channel_weights of the feature network " + network + " gave " + output.tagKind() +
                      ", expected a list of tensors, one a map");
  }
  std::vector<Tensor> weights;
  for (const Tensor& weight : output.toTensorList()) weights.push_back(weight.flatten());
  return weights;
}

void check_channel_weights(const std::vector<Tensor>& weights, const std::vector<Tensor>& maps) {
  const auto refuse = [](const std::string& got) {
    throw ConfigError("the feature network's channel_weights: got " + got +
                      ", expected for each map a tensor of as many numbers of 0 or more as it has channels");
  };
  if (weights.size() != maps.size()) refuse(text(weights.size(), " tensors for ", maps.size(), " maps"));
  for (size_t i = 0; i < maps.size(); ++i) {
    if (weights[i].numel() != maps[i].size(1)) {
      refuse(text(weights[i].numel(), " numbers for map ", i, " of ", maps[i].size(1), " channels"));
    }
    // Written so that NaN is refused too.
    if (!weights[i].ge(0).all().item<bool>()) refuse(text("a number that isn't 0 or more for map ", i));
  }
}

}  // namespace

FeatureNet feature_net(const std::string& network) {
  if (network == "random") {
    return {.maps = [net = std::make_shared<RandomFeatures>()](const Tensor& x) { return (*net)(x); }};
  }
  const auto read = [&] {
    try {
      return torch::jit::load(network, at::kCPU);
    } catch (const c10::Error& error) {
      throw ConfigError("the feature network " + network + " can't be read: " + error.what_without_backtrace() +
                        "; give the path of a file that torch.jit.save wrote, or random");
    }
  };
  auto module = std::make_shared<torch::jit::Module>(read());
  module->eval();
  for (auto parameter : module->parameters()) parameter.requires_grad_(false);
  return {.maps =
              [module, network, device = at::Device(at::kCPU)](const Tensor& x) mutable {
                if (x.device() != device) module->to(device = x.device());
                return maps_of(module->forward({x}), network);
              },
          .channel_weights = channel_weights_of(*module, network)};
}

Tensor feature_distance(const std::vector<Tensor>& f, const std::vector<Tensor>& g, const std::vector<Tensor>& weights) {
  constexpr double kEpsilon = 1e-10;
  if (!weights.empty()) check_channel_weights(weights, f);
  // The root's own derivative at 0 is infinite.
  const auto unit = [](const Tensor& given) {
    const auto map = full_precision(given);
    return map / ((map.square().sum(1, true) + kEpsilon * kEpsilon).sqrt() + kEpsilon);
  };
  Tensor total;
  for (size_t i = 0; i < f.size(); ++i) {
    const auto squared = (unit(f[i]) - unit(g[i])).square();
    const auto distance = weights.empty() ? squared.mean({1, 2, 3})
                                          : (squared * placed(weights[i], squared).view({1, -1, 1, 1})).sum(1).mean({1, 2});
    total = total.defined() ? total + distance : distance;
  }
  return total;
}

Tensor FeatureDistance::prepared(const Tensor& image) const {
  const auto channels = [&](const std::vector<double>& values) {
    return placed(torch::tensor(values, torch::kDouble), image).view({1, -1, 1, 1});
  };
  auto prepared = image;
  if (!config_.shift.empty()) prepared = prepared - channels(config_.shift);
  if (!config_.scale.empty()) prepared = prepared / channels(config_.scale);
  return prepared;
}

Tensor FeatureDistance::operator()(const Tensor& image, const Tensor& target) {
  if (!net_.maps) net_ = feature_net(config_.network);
  std::vector<Tensor> of_target;
  {
    const torch::NoGradGuard no_grad;
    of_target = net_.maps(prepared(target));
  }
  return feature_distance(net_.maps(prepared(image)), of_target, net_.channel_weights);
}

}  // namespace elbo
