#include "elbo/evaluation/evaluator.h"

#include <torch/types.h>
#include <torch/utils.h>

#include <fstream>
#include <sstream>

#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/evaluation/variational_bound.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "fakes.h"

using namespace elbo;

namespace evaluator_test {

/// bound = 1, 2, 3, … by row, or 0-dim: what a batch's size is.
class CountingObjective final : public Objective {
 public:
  enum class Bound { per_example, per_batch, none };
  LossTerms losses(const Batch& batch, Step& step) override {
    saw_training = saw_training || step.training || is_training() || torch::GradMode::is_enabled();
    drawn.push_back(step.noise.normal({1, batch.size()}, {}));
    if (bound == Bound::none) return {};
    const auto rows = (batch.index + 1).to(at::kFloat);
    return {
        .terms = {{"kl", rows}, {"bound", bound == Bound::per_batch ? torch::tensor(static_cast<float>(batch.size())) : rows}}};
  }
  Bound bound = Bound::per_example;
  bool saw_training = false;
  std::vector<Tensor> drawn = {};
};

struct Fixture {
  explicit Fixture(int64_t N = 3) : model(fakes::near_posterior()), objective(std::make_shared<CountingObjective>()), num(N) {}
  EvaluationContext context() {
    return {.model = *model, .objective = objective.get(), .dataset = fakes::wavy_rows(num), .samples = 20, .seed = 4};
  }
  std::shared_ptr<fakes::ScalarModel> model;
  std::shared_ptr<CountingObjective> objective;
  int64_t num;
};

TEST(Evaluator, MeasuresInTheOrderAskedForAndOnce) {
  Fixture fixture;
  const auto result = evaluate(fixture.context(), {"log_likelihood", "bound", "elbo", "bound"});
  std::vector<std::string> keys;
  for (const auto& measured : result.measurements) keys.push_back(measured.key());
  EXPECT_EQ(keys, (std::vector<std::string>{"log_likelihood_nats", "effective_sample_size", "bound_nats", "elbo_nats",
                                            "reconstruction_nats", "kl_nats"}));
  EXPECT_EQ(fakes::message_of([&] { result.at("elbo"); }),
            "no measurement 'elbo'; measured: log_likelihood_nats, effective_sample_size, bound_nats, "
            "elbo_nats, reconstruction_nats, kl_nats");
}

TEST(Evaluator, RefusesUnknownNamesBeforeAnythingIsMeasured) {
  Fixture fixture;
  EXPECT_EQ(fakes::message_of([&] {
              evaluate(fixture.context(), {"bound", "log_likelyhood"});
            }),
            "unknown metric 'log_likelyhood', did you mean 'log_likelihood'? Known: " + join(metrics().names(), ", "));
  fakes::Inert inert;
  auto context = fixture.context();
  EvaluationContext lacking{.model = inert, .objective = fixture.objective.get(), .dataset = context.dataset};
  EXPECT_EQ(
      fakes::message_of([&] {
        evaluate(lacking, {"bound", "reconstruction_error"});
      }),
      "metric 'reconstruction_error' needs a model that reconstructs; this model is quantized and can do nothing beyond that");
  EXPECT_TRUE(fixture.objective->drawn.empty());
  context.dataset = nullptr;
  EXPECT_EQ(fakes::message_of([&] { evaluate(context, {"bound"}); }), "an evaluation needs a data set");
}

TEST(Evaluator, WritesOneJsonObject) {
  Fixture fixture;
  auto context = fixture.context();
  context.split = Split::valid;
  const auto json = to_json(evaluate(context, {"bound", "active_units"}), {.run = "runs/a",
                                                                           .checkpoint = "step-12",
                                                                           .config = "digits/vae",
                                                                           .weights_sha256 = "ab",
                                                                           .data_sha256 = "cd",
                                                                           .device = "cpu",
                                                                           .limit = 3});
  EXPECT_EQ(
      json.dump(),
      "{\"run\":\"runs/a\",\"checkpoint\":\"step-12\",\"config\":\"digits/vae\",\"weights_sha256\":\"ab\",\"data_sha256\":\"cd\","
      "\"elbo_version\":\"" +
          std::string(kVersion) +
          "\",\"device\":\"cpu\",\"split\":\"valid\",\"num_examples\":3,\"limit\":3,\"samples\":20,\"seed\":4,"
          "\"metrics\":{\"bound_nats\":2.0,\"bound_standard_error_nats\":0.5773502691896258,\"active_units\":2,\"num_units\":2}"
          "}");
  const auto noted = to_json(evaluate(context, {"reconstruction_error"}), {});
  EXPECT_EQ(noted["notes"]["reconstruction_error"], "mean squared error of an element of x");
}

TEST(Evaluator, WritesATable) {
  Fixture fixture;
  const auto table = to_text(evaluate(fixture.context(), {"bound", "active_units", "reconstruction_error"}));
  std::istringstream lines(table);
  std::vector<std::string> shown;
  for (std::string line; std::getline(lines, line);) shown.push_back(line);
  ASSERT_EQ(shown.size(), 7U) << table;
  EXPECT_EQ(shown[2], "bound_nats            2.0000          0.5774");
  EXPECT_EQ(shown[6], "reconstruction_error: mean squared error of an element of x");
  EXPECT_NE(shown[3].find("active_units               2"), std::string::npos) << table;
}

// Differences of 1, 2 and 3: errors 1, 4, 9.
TEST(ReconstructionError, IsTheMeanSquareOfAnElement) {
  Fixture fixture;
  auto context = fixture.context();
  context.dataset = fakes::rows(wavy({3, 2}));
  const auto result = evaluate(context, {"reconstruction_error"});
  const auto& measured = result.at("reconstruction_error");
  expect_close(measured.per_example, values({1, 4, 9}), 1e-12);
  EXPECT_NEAR(measured.value, 14.0 / 3, 1e-12);
  EXPECT_NEAR(measured.standard_error.value(), std::sqrt(((1 - 14.0 / 3) * (1 - 14.0 / 3) + 4.0 / 9 + 169.0 / 9) / 2 / 3), 1e-12);
  EXPECT_EQ(measured.error_key(), "reconstruction_error_standard_error");
}

TEST(BoundMetric, IsTheObjectivesTermOnEvaluationNoise) {
  Fixture fixture(150);
  auto context = fixture.context();
  context.batch_size = 60;
  const auto result = evaluate(context, {"bound"});
  EXPECT_DOUBLE_EQ(result.at("bound_nats").value, 75.5);
  EXPECT_FALSE(fixture.objective->saw_training);
  EXPECT_TRUE(fixture.objective->is_training());
  GranuleNoise expected(4);
  expect_equal(torch::cat(fixture.objective->drawn, 1), expected.normal({1, 150}, {}));
}

TEST(BoundMetric, WeighsCoupledBatchesByTheirSize) {
  Fixture fixture(100);
  fixture.objective->bound = CountingObjective::Bound::per_batch;
  auto context = fixture.context();
  context.batch_size = 70;
  const auto result = evaluate(context, {"bound"});
  EXPECT_DOUBLE_EQ(result.at("bound_nats").value, (70 * 70 + 30 * 30) / 100.0);
  EXPECT_FALSE(result.at("bound_nats").standard_error.has_value());
  EXPECT_EQ(result.at("bound_nats").note, "couples the examples of a batch: it depends on the batch size, 70");
}

TEST(BoundMetric, NamesWhatIsMissing) {
  Fixture fixture;
  fixture.objective->bound = CountingObjective::Bound::none;
  EXPECT_EQ(fakes::message_of([&] { evaluate(fixture.context(), {"bound"}); }),
            "metric 'bound': the objective reports no term 'bound'");
  auto context = fixture.context();
  context.objective = nullptr;
  EXPECT_EQ(fakes::message_of([&] { evaluate(context, {"bound"}); }),
            "metric 'bound' needs the run's objective; a model alone has metric 'elbo'");
}

TEST(BoundMetric, OfTheElboObjectiveIsMetricElbo) {
  Fixture fixture(100);
  const auto objective = make_elbo({}, *fixture.model, {});
  auto context = fixture.context();
  context.objective = objective.get();
  const auto result = evaluate(context, {"bound", "elbo"});
  expect_close(result.at("bound_nats").per_example, result.at("elbo_nats").per_example, 1e-12);
}

TEST(BoundMetric, OfIwaeIsTheLogLikelihoodAtItsSamples) {
  Fixture fixture(100);
  const auto objective = make_iwae({.samples = 20}, *fixture.model, {});
  auto context = fixture.context();
  context.objective = objective.get();
  const auto result = evaluate(context, {"bound", "log_likelihood"});
  expect_close(result.at("bound_nats").per_example, result.at("log_likelihood_nats").per_example, 1e-12);
  EXPECT_EQ(result.at("log_likelihood_nats").note,
            "a lower bound in expectation, from 20 importance samples an example: compare equal numbers only");
}

TEST(Evaluator, NamesTheFirstRowThatIsNotFinite) {
  auto x = wavy({100, 1});
  x[70][0] = NAN;
  x[90][0] = INFINITY;
  const auto model = fakes::near_posterior();
  const auto message = fakes::message_of<NumericalError>(
      [&] { evaluate({.model = *model, .dataset = fakes::rows(x), .batch_size = 16}, {"elbo"}); });
  EXPECT_EQ(message, "metric 'elbo': elbo_nats is nan for row 70 and not finite for 2 of 100 rows");
}

TEST(EvaluationMode, RestoresEachModulesOwnMode) {
  Fixture fixture;
  fixture.model->train();
  fixture.model->child->eval();  // a frozen part
  {
    const EvaluationMode mode({fixture.model.get(), nullptr});
    EXPECT_FALSE(fixture.model->is_training());
    EXPECT_FALSE(torch::GradMode::is_enabled());
  }
  EXPECT_TRUE(fixture.model->is_training());
  EXPECT_FALSE(fixture.model->child->is_training());
  EXPECT_TRUE(torch::GradMode::is_enabled());
  evaluate(fixture.context(), {"elbo", "active_units", "log_likelihood"});
  EXPECT_FALSE(fixture.model->was_training);
  EXPECT_TRUE(fixture.model->is_training());
}

TEST(EvaluationMode, IsLeftWhenAMetricThrows) {
  Fixture fixture;
  fixture.objective->bound = CountingObjective::Bound::none;
  EXPECT_THROW(evaluate(fixture.context(), {"bound"}), UsageError);
  EXPECT_TRUE(fixture.model->is_training());
  EXPECT_TRUE(torch::GradMode::is_enabled());
}

TEST(PerExample, IsWrittenAsCsvAndNpz) {
  Fixture fixture;
  const auto result = evaluate(fixture.context(), {"reconstruction_error", "bound", "active_units"});
  const auto folder = std::filesystem::temp_directory_path();
  write_per_example(result, folder / "elbo_rows.csv");
  std::ifstream file(folder / "elbo_rows.csv");
  std::stringstream contents;
  contents << file.rdbuf();
  const auto csv = contents.str();
  const auto& errors = result.at("reconstruction_error").per_example;
  EXPECT_EQ(csv.substr(0, 44), "index,reconstruction_error,bound_nats\n0,1,1\n");
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 4);
  write_per_example(result, folder / "elbo_rows.npz");
  const NpzReader npz(folder / "elbo_rows.npz");
  EXPECT_EQ(npz.names(), (std::vector<std::string>{"index", "reconstruction_error", "bound_nats"}));
  expect_equal(to_tensor(npz.read("reconstruction_error")), errors);
  expect_equal(to_tensor(npz.read("index")), torch::arange(3));
  EXPECT_EQ(fakes::message_of([&] { write_per_example(result, "a.txt"); }),
            "can't write per-example values to a.txt: its name must end in .csv or .npz");
  std::filesystem::remove(folder / "elbo_rows.csv");
  std::filesystem::remove(folder / "elbo_rows.npz");
}

}  // namespace evaluator_test
