#include "elbo/objectives/vq.h"

#include <cmath>

#include "elbo/base/error.h"
#include "elbo/distributions/normal.h"
#include "elbo/math/couples_batch.h"
#include "elbo/quantizers/usage.h"
#include "elbo/quantizers/vaevq.h"
#include "elbo/quantizers/vq.h"
#include "quantizers/quantizer_steps.h"

namespace elbo::vq_objective_test {

constexpr int64_t kB = 3, kT = 4, kD = 2, kX = 6;

/// x [B, 6] -> tokens [B, 4, D] -> mean of x, everything linear; p(x) = N(mean, 1). float64.
class LinearCodes final : public Model, public Quantized {
 public:
  explicit LinearCodes(std::shared_ptr<Quantizer> quantizer) : quantizer_(std::move(quantizer)) {
    const auto space = quantizer_->code_space();
    encoder = register_parameter("encoder", wavy({kX, kT * space.input_size}, 0.4).to(torch::kFloat));
    decoder = register_parameter("decoder", wavy({kT * space.output_size, kX}, 0.9).to(torch::kFloat));
    register_module("quantizer", quantizer_);
  }
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "linear"; }
  Tensor tokens(const Batch& batch) { return torch::matmul(batch.at("x"), encoder).view({batch.size(), kT, -1}); }
  std::vector<CodeLevel> quantize(const Batch& batch, Step& step) override {
    return {{.tokens = tokens(batch).detach(), .quantization = quantizer_->forward(tokens(batch), step)}};
  }
  std::vector<Tensor> codes(const Batch& batch) override { return {quantizer_->encode(tokens(batch))}; }
  std::vector<Observation> decode(const std::vector<Tensor>& values, const Batch& batch) override {
    const auto mean = torch::matmul(values.at(0).flatten(1), decoder);
    return {{.likelihood = Normal::with_scale(mean, 1, 1), .target = batch.at("x")}};
  }
  std::vector<Quantizer*> quantizers() override { return {quantizer_.get()}; }
  Tensor encoder, decoder;

 private:
  std::shared_ptr<Quantizer> quantizer_;
};

Batch rows(int64_t B = kB) {
  return {.fields = {{"x", {.value = wavy({B, kX}, 0.2).to(torch::kFloat)}}}, .index = torch::arange(B)};
}

std::shared_ptr<LinearCodes> linear_codes(double commitment, double codebook) {
  QuantizerSteps steps;
  return std::make_shared<LinearCodes>(make_vq(
      {.codes = 5, .code_size = kD, .commitment = scheduled_number(commitment), .codebook_weight = scheduled_number(codebook)},
      steps.context()));
}

void refill(Objective& objective) {
  for (auto& number : objective.scheduled()) number.refill({.step = 0, .steps_per_epoch = 1, .total_steps = 1});
}

std::map<std::string, Tensor> by_name(const std::vector<Term>& terms) {
  std::map<std::string, Tensor> named;
  for (const auto& term : terms) named[term.name] = term.value;
  return named;
}

TEST(VqObjective, IsTheLikelihoodAndTheWeightedTermsSummedOverAnExample) {
  const auto model = linear_codes(0.25, 2);
  const auto objective = make_vq_objective({}, *model, {});
  refill(*objective);
  QuantizerSteps steps;
  auto step = steps.step();
  const auto batch = rows();
  const auto losses = objective->losses(batch, step);
  const auto z = model->tokens(batch).detach();
  const auto codes = model->quantizers()[0]->decode(model->quantizers()[0]->encode(z)).detach();
  const auto squared = (z - codes).square().sum({1, 2});
  const auto error = (batch.at("x") - torch::matmul(codes.flatten(1), model->decoder)).square().sum(1).detach();
  const auto reconstruction = 0.5 * error + 0.5 * kX * std::log(2 * M_PI);
  expect_close(losses.loss, reconstruction + 2.25 * squared, 1e-5);
  const auto terms = by_name(losses.terms);
  expect_close(terms.at("reconstruction"), reconstruction, 1e-5);
  expect_close(terms.at("codebook"), squared, 1e-5);
  expect_close(terms.at("commitment"), squared, 1e-5);
  expect_close(terms.at("bound"), -reconstruction - kT * std::log(5), 1e-5);  // the codes cost T log V
  expect_close(terms.at("relative_error"), squared.sum() / z.square().sum(), 1e-5);
  EXPECT_EQ(terms.at("batch_perplexity").dim(), 0);
  for (const auto& [name, value] : terms) EXPECT_FALSE(value.requires_grad()) << name;
  EXPECT_FALSE(losses.batch_loss.defined());
  EXPECT_EQ(losses.terms.front().name, "bound");
}

// Fails where only beta is converted, or the batch is averaged twice.
TEST(VqObjective, APortsMeansAreTheSumsWithConvertedWeights) {
  constexpr double kBeta = 0.25, kF = static_cast<double>(kX) / (kT * kD);
  const auto port = linear_codes(kBeta, 1), sums = linear_codes(kF * kBeta, kF);
  QuantizerSteps steps;
  auto step = steps.step();
  const auto port_objective = make_vq_objective({.reduction = VqReduction::mean}, *port, {});
  const auto sum_objective = make_vq_objective({}, *sums, {});
  refill(*port_objective);
  refill(*sum_objective);
  const auto port_loss = port_objective->losses(rows(), step), sum_loss = sum_objective->losses(rows(), step);
  port_loss.loss.mean().backward();
  sum_loss.loss.mean().backward();
  const auto a = port->named_parameters(), b = sums->named_parameters();
  ASSERT_EQ(a.size(), 3U);
  for (const auto& item : a) {
    SCOPED_TRACE(item.key());
    EXPECT_GT(item.value().grad().abs().max().item<float>(), 0);
    expect_close(b[item.key()].grad(), kX * item.value().grad(), 1e-5, 1e-6);
  }
  // What is reported stays in nats.
  expect_close(by_name(port_loss.terms).at("bound"), by_name(sum_loss.terms).at("bound"), 1e-6);
}

TEST(VqObjective, DecodesAContinuousValueTooAndAveragesTheLikelihoods) {
  QuantizerSteps steps;
  const auto zero = scheduled_number(0);
  const auto model = std::make_shared<LinearCodes>(
      make_vaevq({.codes = 5, .code_size = kD, .rcs_weight = zero, .kl_weight = zero, .dcr_weight = zero}, steps.context()));
  const auto objective = make_vq_objective({}, *model, {});
  refill(*objective);
  auto step = steps.step();
  const auto losses = objective->losses(rows(), step);
  const auto terms = by_name(losses.terms);
  EXPECT_FALSE(terms.at("reconstruction").equal(terms.at("reconstruction_continuous")));
  expect_close(losses.loss, (terms.at("reconstruction") + terms.at("reconstruction_continuous")) / 2, 1e-5);
  expect_close(terms.at("bound"), -terms.at("reconstruction") - kT * std::log(5), 1e-5);
}

/// A quantiser whose terms and assignment are what the test says.
class Scripted final : public Quantizer, public CouplesBatch {
 public:
  Quantization forward(const Tensor& z, Step&, const Tensor&) override {
    Quantization result{.value = z + 0, .indices = torch::zeros({z.size(0), kT, 1}, torch::kLong)};
    result.terms = {{.name = "kl", .value = torch::full({z.size(0)}, 0.7f), .elements = kT}};
    if (couples) result.terms.push_back({.name = "entropy", .value = z.sum(), .weight = torch::full({}, 3.f), .elements = kT});
    if (soft) result.log_probs = torch::zeros({z.size(0), kT, 1, 5});
    return result;
  }
  Tensor encode(const Tensor& z) override { return torch::zeros({z.size(0), kT, 1}, torch::kLong); }
  Tensor decode(const Tensor& indices) override { return torch::zeros({indices.size(0), kT, kD}); }
  CodeSpace code_space() const override { return {kD, kD, {5}}; }
  std::string_view couples_batch_by() const override { return couples ? "the entropy of the codes" : ""; }
  bool soft = false;
  bool couples = false;
};

TEST(VqObjective, ASoftAssignmentCostsItsDivergenceInTrainingAndItsCodesInEvaluation) {
  auto quantizer = std::make_shared<Scripted>();
  LinearCodes model(quantizer);
  const auto objective = make_vq_objective({}, model, {});
  QuantizerSteps steps;
  for (const bool soft : {false, true}) {
    for (const bool training : {false, true}) {
      quantizer->soft = soft;
      auto step = steps.step(training);
      const auto terms = by_name(objective->losses(rows(), step).terms);
      const double rate = soft && training ? 0.7 : kT * std::log(5);
      expect_close(terms.at("bound"), -terms.at("reconstruction") - rate, 1e-6);
    }
  }
}

TEST(VqObjective, ABatchsStatisticIsAddedOnce) {
  auto quantizer = std::make_shared<Scripted>();
  quantizer->couples = true;
  LinearCodes model(quantizer);
  const auto objective = make_vq_objective({}, model, {});
  QuantizerSteps steps;
  auto step = steps.step();
  const auto losses = objective->losses(rows(), step);
  EXPECT_EQ(losses.batch_loss.dim(), 0);
  expect_close(losses.batch_loss, 3 * model.tokens(rows()).sum(), 1e-5);
  expect_close(losses.loss, by_name(losses.terms).at("reconstruction") + 0.7, 1e-6);
  const auto mean = make_vq_objective({.reduction = VqReduction::mean}, model, {});
  expect_close(mean->losses(rows(), step).batch_loss, 3 * model.tokens(rows()).sum() / kT, 1e-5);
}

TEST(VqObjective, FamiliesThatDoNotFitAreNamed) {
  const auto model = linear_codes(0.25, 1);
  const auto message = [&](const std::string& objective) {
    try {
      objectives().make(objective, static_cast<Model&>(*model),
                        ObjectiveContext{.objective = "objective '" + objective + "' (line 12)", .model = "'vq_vae' (line 4)"});
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("nothing was thrown");
  };
  EXPECT_EQ(message("iwae"), "objective 'iwae' (line 12) needs a variational model; 'vq_vae' (line 4) is quantized");
  EXPECT_EQ(message("vq"), "nothing was thrown");
}

TEST(BatchUsage, CountsEntropyAndCodesByEitherWay) {
  const auto codes = torch::tensor({0, 0, 1, 2, -1}, torch::kLong);
  for (const int64_t size : {3, 1 << 20}) {
    const auto usage = batch_usage(codes, size);
    expect_close(usage.perplexity, std::exp2(1.5), 1e-6);  // shares 1/2, 1/4, 1/4
    expect_close(usage.used, 3);
  }
  // Whole rows, where coordinates have no bound: -1 is one of them.
  const auto rows = batch_usages(torch::tensor({-1, 2, -1, 2, 2, -1, 0, 0}, torch::kLong).view({1, 4, 2}), {2, 2, {0, 0}});
  ASSERT_EQ(rows.size(), 1U);
  expect_close(rows[0].perplexity, std::exp2(1.5), 1e-6);
  expect_close(rows[0].used, 3);
  expect_close(batch_usage(torch::full({7}, int64_t{4}), 8).perplexity, 1, 1e-6);
  expect_close(batch_usage(torch::arange(8), 8).perplexity, 8, 1e-5);
}

}  // namespace elbo::vq_objective_test
