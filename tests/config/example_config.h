#pragma once
#include <array>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "elbo/config/choice.h"
#include "elbo/config/dump.h"
#include "elbo/config/reader.h"

/// A config in the small, as the tests of this room need one: every member type, catalogs, nested choices, a shorthand.
namespace config_example {
using namespace elbo;

enum class Activation { relu, tanh, none };
constexpr auto enum_names(Activation) {
  return std::array{std::pair{std::string_view("relu"), Activation::relu}, std::pair{std::string_view("tanh"), Activation::tanh},
                    std::pair{std::string_view("none"), Activation::none}};
}

/// Torch-free stand-ins: a product is the text that describes it.
struct Thing {
  std::string what;
};
struct SizeContext {
  int64_t size = 0;
};

struct Ramp {
  virtual ~Ramp() = default;
  virtual double at(int64_t step) const = 0;
};

struct ConstantConfig {
  double value = 1;
  template <class F>
  void fields(F& field) {
    field("value", value, "the number", in_outer_range);
  }
};
struct LinearConfig {
  double from = 0;
  double to = 1;
  int64_t steps = 100;
  template <class F>
  void fields(F& field) {
    field("from", from, "first value", in_outer_range);
    field("to", to, "last value", in_outer_range);
    field("steps", steps, "length", at_least(1));
  }
  void check(Relations& relations) const {
    if (from == to) relations.problem("to", "must differ from 'from'; a constant is a plain number");
  }
};
struct ConstantRamp final : Ramp {
  explicit ConstantRamp(const ConstantConfig& c) : config(c) {}
  double at(int64_t) const override { return config.value; }
  ConstantConfig config;
};
struct LinearRamp final : Ramp {
  explicit LinearRamp(const LinearConfig& c) : config(c) {}
  double at(int64_t step) const override {
    return config.from + (config.to - config.from) * static_cast<double>(step) / static_cast<double>(config.steps);
  }
  LinearConfig config;
};
inline Catalog<Ramp>& ramps() {
  static Catalog<Ramp> catalog =
      Catalog<Ramp>("schedule")
          .add(
              "constant", "", +[](const ConstantConfig& config) { return std::make_shared<ConstantRamp>(config); })
          .add(
              "linear", "", +[](const LinearConfig& config) { return std::make_unique<LinearRamp>(config); })
          .shorthand("constant", "value");
  return catalog;
}

struct MlpConfig {
  std::vector<int64_t> hidden = {200, 200};
  Activation activation = Activation::relu;
  template <class F>
  void fields(F& field) {
    field("hidden", hidden, "width of each layer", between(1, 65536), non_empty);
    field("activation", activation, "between the layers");
  }
};
inline std::shared_ptr<Thing> make_mlp(const MlpConfig& config, const SizeContext& context) {
  std::string what = std::to_string(context.size);
  for (const int64_t width : config.hidden) what += "-" + std::to_string(width);
  return std::make_shared<Thing>(Thing{what});
}
inline std::shared_ptr<Thing> make_linear(const NoConfig&, const SizeContext& context) {
  return std::make_shared<Thing>(Thing{"linear " + std::to_string(context.size)});
}
using Encoders = Catalog<Thing, const SizeContext&>;
inline Encoders& encoders() {
  static Encoders catalog = Encoders("encoder").add("mlp", "Rosenblatt 1958", make_mlp).add("linear", "", make_linear);
  return catalog;
}

struct VaeConfig {
  int64_t latent_size = 50;
  Choice<Thing, const SizeContext&> encoder{encoders, "mlp"};
  Choice<Thing, const SizeContext&> critic{encoders()};
  template <class F>
  void fields(F& field) {
    field("latent_size", latent_size, "units of the code", between(1, 65536));
    field("encoder", encoder, "features of the input");
    field("critic", critic, "absent unless asked for");
  }
};
inline std::shared_ptr<Thing> make_vae(const VaeConfig& config) {
  return std::make_shared<Thing>(Thing{"vae " + config.encoder.make(SizeContext{784})->what});
}
struct GaussianConfig {
  int64_t latent_size = 2;
  template <class F>
  void fields(F& field) {
    field("latent_size", latent_size, "units of the code", at_least(1));
  }
};
inline Catalog<Thing>& things() {
  static Catalog<Thing> catalog = [] {
    Catalog<Thing> fresh("model");
    fresh.add("vae", "Kingma & Welling 2014 (arXiv:1312.6114)", make_vae);
    fresh.add<GaussianConfig>("gaussian", "", [](const GaussianConfig&) { return std::make_shared<Thing>(Thing{"gaussian"}); });
    return fresh;
  }();
  return catalog;
}

struct Schedule {
  int64_t epochs = 50;
  std::optional<double> clip_norm = {};
  template <class F>
  void fields(F& field) {
    field("epochs", epochs, "passes over the data", at_least(1));
    field("clip_norm", clip_norm, "largest norm of the gradient", more_than(0));
  }
  void check(Relations& relations) const {
    if (clip_norm && *clip_norm > static_cast<double>(epochs)) relations.problem("clip_norm", "must not exceed epochs");
  }
};

struct Modality {
  double weight = 1;
  std::string field_name;
  Choice<Thing, const SizeContext&> encoder{encoders(), "linear"};
  template <class F>
  void fields(F& field) {
    field("weight", weight, "of its likelihood", at_least(0));
    field("field", field_name, "of the batch", required);
    field("encoder", encoder, "features");
  }
};

struct Experiment {
  std::string name;
  int64_t seed = 1;
  bool verbose = false;
  double rate = 1e-3;
  std::filesystem::path data_root = "./data";
  Choice<Thing> model{things(), "vae"};
  Choice<Ramp> beta{ramps(), "constant"};
  Schedule training;
  std::vector<std::string> metrics = {"elbo"};
  std::vector<Schedule> stages;
  std::map<std::string, Modality> modalities;
  std::optional<std::vector<double>> quantiles = {};
  template <class F>
  void fields(F& field) {
    field("name", name, "of the experiment", required, non_empty);
    field("seed", seed, "of every random stream");
    field("verbose", verbose, "say more");
    field("rate", rate, "of learning", at_least(0).below(1));
    field("data_root", data_root, "where data lies");
    field("model", model, "what is fitted", required);
    field("beta", beta, "weight of the KL", at_least(0));
    field("training", training, "the loop");
    field("metrics", metrics, "what is reported");
    field("stages", stages, "further loops", length_between(0, 3));
    field("modalities", modalities, "by name");
    field("quantiles", quantiles, "of the report", between(0, 1), length_at_least(2));
  }
};

}  // namespace config_example
