#include "elbo/evaluation/hook.h"

#include <torch/types.h>

#include <fstream>

#include "elbo/base/json.h"
#include "elbo/config/yaml.h"
#include "elbo/evaluation/active_units.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/io/png.h"
#include "elbo/objectives/elbo.h"
#include "fakes.h"

using namespace elbo;

namespace hook_test {

/// Pictures of 2 x 2 pixels through one number: q(z | x) = N(4 mean(x), 1), reconstruction x / 2, samples sigmoid(noise).
class TinyPictures final : public Model, public Variational, public Samples, public Reconstructs {
 public:
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "tiny"; }
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto mean = 4 * batch.at("x").flatten(1).mean(1, true);
    const auto zero = torch::zeros_like(mean);
    const auto q = std::make_shared<Normal>(mean, zero);
    return {.layers = {{.q = q, .p = std::make_shared<Normal>(zero, zero), .z = q->rsample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    const auto mean = latents.layers[0].z.unsqueeze(-1).unsqueeze(-1).expand({-1, -1, 1, 2, 2});
    return {{.likelihood = Normal::with_scale(mean, 1, 3), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }
  Tensor sample(const Batch& given, double, Noise& noise) override { return noise.normal({given.size()}, {1, 2, 2}).sigmoid(); }
  Tensor reconstruct(const Batch& batch) override { return batch.at("x") / 2; }
};

struct Scene {
  explicit Scene(const std::string& name) : folder(std::filesystem::temp_directory_path() / ("elbo_hook_" + name)) {
    std::filesystem::remove_all(folder);
    model = std::make_shared<TinyPictures>();
    objective = make_elbo({}, *model, {});
    dataset = fakes::rows(wavy({30, 1, 2, 2}).abs());
  }
  ~Scene() { std::filesystem::remove_all(folder); }
  EvaluationHookParts parts(RunFolder* run = nullptr) const {
    return {.model = model, .objective = objective, .dataset = dataset, .run = run};
  }
  std::filesystem::path folder;
  std::shared_ptr<TinyPictures> model;
  std::shared_ptr<Objective> objective;
  std::shared_ptr<Dataset> dataset;
};

TrainingState at_step(int64_t step) { return {.step = step, .clock = {.step = step, .steps_per_epoch = 10, .total_steps = 35}}; }

std::vector<std::string> names_of(const NamedValues& values) {
  std::vector<std::string> names;
  for (const auto& value : values) names.push_back(value.name);
  return names;
}

TEST(EvaluationHook, MeasuresTheValidationSplit) {
  const Scene scene("measures");
  const auto hook = make_evaluation_hook({.metrics = {"elbo", "log_likelihood"}, .samples = 5}, scene.parts());
  const auto measured = hook->evaluate(at_step(10));
  EXPECT_EQ(names_of(measured),
            (std::vector<std::string>{"valid/bound", "valid/elbo", "valid/reconstruction", "valid/kl", "valid/log_likelihood",
                                      "valid/effective_sample_size", "valid/active_units"}));
  const auto expected = evaluate(
      {.model = *scene.model, .objective = scene.objective.get(), .dataset = scene.dataset, .split = Split::valid, .samples = 5},
      {"bound", "elbo", "log_likelihood", "active_units"});
  EXPECT_DOUBLE_EQ(measured[0].value, expected.at("bound_nats").value);
  EXPECT_DOUBLE_EQ(measured[1].value, expected.at("elbo_nats").value);
  EXPECT_DOUBLE_EQ(measured[4].value, expected.at("log_likelihood_nats").value);
  EXPECT_EQ(measured[6].value, 1);
}

TEST(EvaluationHook, KeepsItsCadenceAndTheEnd) {
  const Scene scene("cadence");
  const auto hook = make_evaluation_hook({.metrics = {}, .every_epochs = 2}, scene.parts());
  EXPECT_TRUE(hook->evaluate(at_step(10)).empty());
  EXPECT_EQ(names_of(hook->evaluate(at_step(20))), std::vector<std::string>{"valid/bound"});
  EXPECT_TRUE(hook->evaluate(at_step(25)).empty());
  EXPECT_EQ(names_of(hook->evaluate(at_step(35))), std::vector<std::string>{"valid/bound"});
}

TEST(EvaluationHook, TakesTheFirstRowsOnly) {
  const Scene scene("limit");
  const auto hook = make_evaluation_hook({.metrics = {}, .limit = 7}, scene.parts());
  const auto expected = evaluate(
      {.model = *scene.model, .objective = scene.objective.get(), .dataset = scene.dataset, .split = Split::valid, .limit = 7},
      {"bound"});
  EXPECT_DOUBLE_EQ(hook->evaluate(at_step(10))[0].value, expected.at("bound_nats").value);
}

TEST(EvaluationHook, WritesPicturesUnitsAndEvents) {
  const Scene scene("writes");
  RunFolder run(scene.folder, parse_yaml("name: a\n", "a.yaml"), RunStart::fresh);
  const auto hook = make_evaluation_hook({.metrics = {"elbo"}, .pictures = 12}, scene.parts(&run));
  const auto events_before = run.events().size();
  hook->evaluate(at_step(20));
  EXPECT_GT(run.events().size(), events_before + 500);
  const auto samples = read_png(run.samples() / "step-20-samples.png");
  EXPECT_EQ(samples.width, 4 * (84 + 2) + 2);
  const auto reconstructions = read_png(run.samples() / "step-20-reconstructions.png");
  EXPECT_EQ(reconstructions.height, 4 * (84 + 2) + 2);  // 12 rows of data in columns of 10
  const auto original =
      scene.dataset->gather(Split::valid, torch::arange(1), *std::make_unique<Stream>(1, "x", at::kCPU)).at("x");
  const auto level = original[0][0][0][0].item<double>();
  EXPECT_EQ(reconstructions.pixels[static_cast<size_t>(3 * reconstructions.width + 3)], std::nearbyint(255 * level));
  EXPECT_EQ(reconstructions.pixels[static_cast<size_t>((3 + 86) * reconstructions.width + 3)], std::nearbyint(255 * level / 2));

  std::ifstream file(run.path() / "metrics.jsonl");
  std::string line;
  ASSERT_TRUE(std::getline(file, line));
  const auto json = parse_json(line, "metrics.jsonl");
  const auto panel = collapse_panel({.model = *scene.model, .dataset = scene.dataset, .split = Split::valid});
  EXPECT_EQ(json["step"], 20);
  EXPECT_EQ(json["epoch"], 2);
  EXPECT_EQ(json["split"], "valid");
  EXPECT_DOUBLE_EQ(json["kl_per_unit"]["z"][0].get<double>(), panel.layers[0].kl_per_unit[0].item<double>());
  EXPECT_DOUBLE_EQ(json["variance_of_means"]["z"][0].get<double>(), panel.layers[0].variance_of_means[0].item<double>());
  EXPECT_FALSE(std::getline(file, line));
}

TEST(EvaluationHook, DrawsTheSameNoiseEveryTime) {
  const Scene scene("noise");
  RunFolder run(scene.folder, parse_yaml("name: a\n", "a.yaml"), RunStart::fresh);
  const auto hook = make_evaluation_hook({.metrics = {}}, scene.parts(&run));
  const auto first = hook->evaluate(at_step(10)), second = hook->evaluate(at_step(20));
  EXPECT_EQ(first[0].value, second[0].value);
  EXPECT_EQ(read_png(run.samples() / "step-10-samples.png").pixels, read_png(run.samples() / "step-20-samples.png").pixels);
}

TEST(EvaluationHook, DrawsNoPicturesOfVectorsOrWhenToldSo) {
  const Scene scene("none");
  RunFolder run(scene.folder, parse_yaml("name: a\n", "a.yaml"), RunStart::fresh);
  make_evaluation_hook({.pictures = 0}, scene.parts(&run))->evaluate(at_step(10));
  auto parts = scene.parts(&run);
  parts.model = fakes::near_posterior();
  parts.objective = make_elbo({}, dynamic_cast<Variational&>(*parts.model), {});
  parts.dataset = fakes::wavy_rows(30);
  make_evaluation_hook({}, parts)->evaluate(at_step(10));
  EXPECT_TRUE(!std::filesystem::exists(run.samples()) || std::filesystem::is_empty(run.samples()));
}

TEST(EvaluationHook, SaysAtOnceWhatTheModelLacks) {
  const Scene scene("lacks");
  auto parts = scene.parts();
  parts.model = std::make_shared<fakes::Inert>();
  EXPECT_EQ(fakes::message_of([&] { make_evaluation_hook({.metrics = {"elbo"}}, parts); }),
            "metric 'elbo' needs a variational model; this model is quantized and can do nothing beyond that");
  EXPECT_NO_THROW(make_evaluation_hook({.metrics = {"bound"}}, parts));
}

TEST(EvaluationConfig, KnowsItsMetrics) {
  const auto read = [](const std::string& yaml) {
    return read_config<EvaluationConfig>(parse_yaml(yaml, "a.yaml"), "evaluation");
  };
  EXPECT_TRUE(read("samples: 7").metrics.empty()) << "the model decides";
  EXPECT_EQ(read("metrics: [elbo, psnr]").metrics, (std::vector<std::string>{"elbo", "psnr"}));
  const auto message = fakes::message_of<ConfigError>([&] { read("samples: 7\nmetrics: [elbo, active_unit]"); });
  EXPECT_NE(message.find("a.yaml:2: evaluation.metrics: unknown metric 'active_unit', did you mean 'active_units'?"),
            std::string::npos)
      << message;
  EXPECT_THROW(read("samples: 0"), ConfigError);
  EXPECT_THROW(read("every_epochs: 0"), ConfigError);
}

}  // namespace hook_test
