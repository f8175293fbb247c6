#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "elbo/base/error.h"
#include "elbo/config/yaml.h"
#include "elbo/experiment/experiment.h"

namespace elbo::conformance {

/// Components that no walk looks at, with the reason: "axis/name" -> why.
inline const std::map<std::string, std::string>& exempt() {
  static const std::map<std::string, std::string> reasons = {
      {"model/asymmetric_vae", "starts as its base whatever the seed: tests/models/asymmetric_vae_test.cpp"},
      {"objective/lower_bound_guided",
       "trains asymmetric_vae alone: tests/objectives/{lower_bound_guided,guided_terms}_test.cpp"},
  };
  return reasons;
}

/// What a component can't do without, as YAML; every other one is built from its defaults.
inline std::string settings(const std::string& component) {
  static const std::map<std::string, std::string> needed = {
      {"code_prior/gated_pixel_cnn", "{width: 8, layers: 1}"},
      {"code_prior/masked_transformer", "{width: 8, layers: 1, heads: 2}"},
      {"code_prior/pixel_cnn", "{width: 8, layers: 1}"},
      {"code_prior/pixel_snail", "{width: 8, blocks: 1, layers: 1, heads: 2}"},
      {"code_prior/transformer", "{width: 8, layers: 1, heads: 2}"},
      {"data/idx", "{images: x.idx, labels: y.idx, coarse: 3}"},
      {"data/image_folder", "{path: images, size: 6, labels: folders, coarse: 2}"},
      {"data/npz", "{path: x.npz, label: y}"},
      {"data/paired",
       "{path: paired.csv, columns: [{name: a, type: number}, {name: b, type: category}, {name: c, type: image, size: 6}]}"},
      {"data/poly", "{size: 8}"},
      {"data/polymnist", "{path: images_of_digits, modalities: 2, valid: 10}"},
      {"data/shapes_paths", "{rows: 60, size: 16}"},
      {"data/table", "{path: x.csv, columns: [{name: a}, {name: b, type: category}, {name: c, type: count}], label: d}"},
      {"model/code_prior", "{prior: {type: transformer, width: 8, layers: 1, heads: 2}, condition: label}"},
      {"model/mcquic", R"({channels: 8, halvings: 0, levels: [{quantizer: {type: mcquic, codes: 12, code_size: 8}},
                                                              {quantizer: {type: mcquic, codes: 8, code_size: 8}}]})"},
      {"model/multimodal_vae", "{modalities: {x: {}, label: {likelihood: {type: categorical}}}}"},
      {"model/vq_vae", R"({encoder: {type: residual_conv, channels: [6, 8], residual_blocks: 1, residual_channels: 4},
                           decoder: {type: residual_conv, channels: [6, 8], residual_blocks: 1, residual_channels: 4},
                           quantizer: {type: vq, codes: 12, code_size: 4}})"},
      {"decoder/residual_attention", "{channels: [4, 6], blocks: 1, kernel: 3}"},
      {"encoder/residual_attention", "{channels: [4, 6], blocks: 1, kernel: 3}"},
      {"data/ocean_floor", "{rows: 60, size: 16}"},
      {"objective/block_uncertainty", "{similarity: 0}"},  // of 8 x 8 pictures
      {"decoder/vqgan", "{channels: 8, multipliers: [1, 1, 2], blocks: 1, norm_groups: 2}"},
      {"encoder/vqgan", "{channels: 8, multipliers: [1, 1, 2], blocks: 1, norm_groups: 2, features: 8}"},
      {"objective/dual_branch", "{path: x}"},
      {"objective/vqgan", "{critic: {channels: 4, layers: 1}, critic_start: 0, perceptual: {weight: 1}}"},
      {"prior/laplace", "{learn_scale: false}"},                             // its scales start the same for every seed
      {"prior/normal", "{spread: 0.5}"},                                     // the same for every seed without
      {"quantizer/gaussian_quant", "{codes: 64, code_size: 4, groups: 2}"},  // smaller than the defaults, to be quick
      {"quantizer/mcquic", "{codes: 16, code_size: 6}"},
      {"quantizer/multi_group", "{codes: 64, code_size: 4}"},
      {"quantizer/product", "{groups: 2, quantizer: {type: ema, codes: 16, code_size: 4}}"},
      {"quantizer/residual", "{levels: 2, quantizer: {type: ema, codes: 16, code_size: 4}}"},
  };
  const auto found = needed.find(component);
  return found == needed.end() ? "{}" : found->second;
}

struct Component {
  std::string axis = {};
  std::string name = {};
  std::string str() const { return axis + "/" + name; }
};

inline void PrintTo(const Component& component, std::ostream* out) { *out << component.str(); }

/// The components of these axes that are not exempt.
inline std::vector<Component> components(const std::vector<std::string>& axes) {
  std::vector<Component> found;
  for (const auto* catalog : all_catalogs()) {
    if (std::find(axes.begin(), axes.end(), catalog->axis()) == axes.end()) continue;
    for (const auto& entry : catalog->entries()) {
      const Component component{catalog->axis(), entry.name};
      if (!exempt().contains(component.str())) found.push_back(component);
    }
  }
  return found;
}

/// Axes whose components are modules with parameters, or a loss on one: walked by modules_test.cpp.
inline const std::vector<std::string>& module_axes() {
  static const std::vector<std::string> axes = {"code_prior", "decoder",   "encoder",   "likelihood",
                                                "model",      "objective", "posterior", "prior"};
  return axes;
}
/// Walked by the other files of this folder, each of which names its own.
inline const std::vector<std::string>& other_axes() {
  static const std::vector<std::string> axes = {"aggregator", "data", "metric", "optimizer", "quantizer", "schedule"};
  return axes;
}

inline const CatalogBase& catalog_of(const std::string& axis) {
  for (const auto* catalog : all_catalogs()) {
    if (catalog->axis() == axis) return *catalog;
  }
  throw UsageError("no axis " + axis);
}

/// The component's config with settings() read into it.
inline std::unique_ptr<detail::AnyConfig> config_of(const Component& component) {
  auto config = catalog_of(component.axis).get(component.name).defaults();
  Problems problems;
  config->read(parse_yaml(settings(component.str()), component.str()), component.str(), problems, nullptr);
  problems.throw_if_any();
  return config;
}

/// `catalog` as the tests build from it.
template <class Product, class... Args, class... Given>
std::shared_ptr<Product> build(const Catalog<Product, Args...>& catalog, const std::string& name, Given&&... given) {
  return catalog.make_from(name, *config_of({catalog.axis(), name}), std::forward<Given>(given)...);
}

/// For the names of parameterised tests.
inline std::string test_name(const ::testing::TestParamInfo<Component>& info) { return info.param.axis + "_" + info.param.name; }

}  // namespace elbo::conformance
