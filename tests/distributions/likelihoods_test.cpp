// Likelihoods beyond Bernoulli and normal: which fields they take, and what a decoder's output means to them.
#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/distributions/categorical_likelihood.h"
#include "elbo/distributions/columns.h"
#include "elbo/distributions/continuous_bernoulli_likelihood.h"
#include "elbo/distributions/count_likelihoods.h"
#include "elbo/distributions/discretized_logistic.h"
#include "elbo/distributions/discretized_logistic_likelihood.h"
#include "elbo/distributions/laplace.h"
#include "elbo/distributions/laplace_likelihood.h"
#include "elbo/distributions/negative_binomial.h"
#include "elbo/distributions/normal.h"
#include "elbo/distributions/poisson.h"
#include "elbo/distributions/student_t.h"
#include "elbo/distributions/student_t_likelihood.h"
#include "elbo/distributions/table_likelihood.h"
#include "support/gradients.h"

namespace elbo::likelihoods_test {
namespace {

using testing::HasSubstr;

const FieldSpec kBinary = {.shape = {2, 3}, .kind = ValueKind::binary};
const FieldSpec kUnit = {.shape = {2, 3}, .kind = ValueKind::unit};
const FieldSpec kGrey = {.shape = {2, 3}, .kind = ValueKind::unit, .levels = 256};
const FieldSpec kReal = {.shape = {2, 3}, .kind = ValueKind::real};
const FieldSpec kClasses = {.shape = {2, 3}, .kind = ValueKind::category, .num_classes = 4};
const FieldSpec kTable = {.shape = {5},
                          .kind = ValueKind::table,
                          .columns = {{.name = "age"},
                                      {.name = "colour", .kind = ColumnKind::category, .classes = {"r", "g", "b"}},
                                      {.name = "visits", .kind = ColumnKind::count},
                                      {.name = "income"},
                                      {.name = "smokes", .kind = ColumnKind::category, .classes = {"no", "yes"}}}};

std::string refusal(const std::string& type, const FieldSpec& field) {
  try {
    likelihoods().make(type, {.field = field});
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "accepted";
}

TEST(Likelihoods, TakeTheFieldsTheyCanBeFor) {
  const std::map<std::string, std::vector<FieldSpec>> takes = {{"bernoulli", {kBinary}},
                                                               {"categorical", {kClasses, kGrey}},
                                                               {"continuous_bernoulli", {kUnit, kGrey}},
                                                               {"discretized_logistic", {kGrey}},
                                                               {"laplace", {kBinary, kUnit, kGrey, kReal}},
                                                               {"logit_laplace", {kUnit, kGrey}},
                                                               {"negative_binomial", {kReal}},
                                                               {"normal", {kBinary, kUnit, kGrey, kReal}},
                                                               {"poisson", {kReal}},
                                                               {"student_t", {kBinary, kUnit, kGrey, kReal}},
                                                               {"table", {kTable}}};
  for (const auto& name : likelihoods().names()) {
    ASSERT_TRUE(takes.contains(name)) << name;
    for (const auto& field : {kBinary, kUnit, kGrey, kReal, kClasses, kTable}) {
      const auto& taken = takes.at(name);
      const bool expected = std::any_of(taken.begin(), taken.end(), [&](const FieldSpec& each) {
        return each.kind == field.kind && each.levels == field.levels;
      });
      EXPECT_EQ(refusal(name, field) == "accepted", expected) << name << " on kind " << static_cast<int>(field.kind);
    }
  }
  EXPECT_EQ(refusal("poisson", kTable),
            "likelihood 'poisson': needs counts (a field of kind real), got a table; use likelihood 'table'");
  EXPECT_EQ(refusal("continuous_bernoulli", kBinary),
            "likelihood 'continuous_bernoulli': needs real numbers in [0, 1], got zeros and ones; use likelihood 'bernoulli'");
  EXPECT_THAT(refusal("discretized_logistic", {.shape = {4}, .kind = ValueKind::unit, .levels = 17}),
              HasSubstr("is for 256 grey levels, these data have 17; use likelihood 'categorical'"));
}

TEST(LaplaceLikelihood, HasItsScales) {
  const auto x = wavy({4, 2, 3}, 1), output = wavy({4, 2, 3}), wide = wavy({4, 4, 3});
  const auto fixed = make_laplace_likelihood({.scale = 0.3, .mean = MeanActivation::sigmoid}, {.field = kReal});
  expect_close(fixed->forward(output)->log_prob(x), -((x - output.sigmoid()).abs() / 0.3).sum({1, 2}) - 6 * std::log(0.6), 1e-12);
  const auto learned = make_laplace_likelihood({.variance = DecoderVariance::learned}, {.field = kReal});
  learned->to(torch::kDouble);
  EXPECT_EQ(learned->named_parameters().keys(), std::vector<std::string>{"log_scale"});
  expect_close(learned->forward(output)->log_prob(x),
               Laplace(output, torch::full({}, std::log1p(std::exp(6.0)) - 6, torch::kDouble), 2).log_prob(x), 1e-12);
  const auto wider = make_laplace_likelihood({.variance = DecoderVariance::per_pixel}, {.field = kReal});
  const auto p = wider->forward(wide);
  expect_close(p->mean(), wide.slice(1, 0, 2), 1e-14);
  expect_close(p->variance(), 2 * wide.slice(1, 2, 4).exp(), 0.02);
}

TEST(StudentTLikelihood, IsALocationWithHeavyTails) {
  const auto x = wavy({4, 2, 3}, 1), output = wavy({4, 2, 3});
  const auto made = make_student_t_likelihood({.df = 3, .scale = 0.5}, {.field = kReal});
  const auto number = [](double v) { return torch::full({}, v, torch::kDouble); };
  expect_close(made->forward(output)->log_prob(x), StudentT(number(3), output, number(std::log(0.5)), 2).log_prob(x), 1e-12);
  const auto mean = wavy({2, 3});
  expect_equal(made->forward(made->bias_for_mean(mean))->mean(), mean);
}

TEST(ContinuousBernoulliLikelihood, FindsTheLogitOfAMean) {
  const auto made = make_continuous_bernoulli_likelihood({}, {.field = kUnit});
  const auto mean = values({0.002, 0.1, 0.499, 0.5, 0.7, 0.999}, {2, 3});
  expect_close(made->forward(made->bias_for_mean(mean))->mean(), mean, 1e-6, 1e-9);
  expect_finite(made->bias_for_mean(values({0, 1, 0, 1, 0, 1}, {2, 3})));
}

TEST(CountLikelihoods, AreByTheLogarithmOfTheMean) {
  const auto x = (wavy({4, 2, 3}, 1) * 3 + 3).floor(), output = wavy({4, 2, 3});
  const auto poisson = make_poisson_likelihood({}, {.field = kReal});
  expect_close(poisson->forward(output)->log_prob(x), (x * output - output.exp() - (x + 1).lgamma()).sum({1, 2}), 1e-12);
  const auto mean = wavy({2, 3}).abs() + 0.1;
  expect_close(poisson->forward(poisson->bias_for_mean(mean))->mean(), mean, 1e-12);

  const auto element = make_negative_binomial_likelihood({}, {.field = kReal});
  element->to(torch::kDouble);
  EXPECT_EQ(element->named_parameters()["log_total_count"].sizes(), (Shape{2, 3}));
  const auto p = element->forward(output);
  expect_close(p->mean(), output.exp(), 1e-10);
  expect_close(p->variance(), output.exp() + output.exp().square(), 1e-3);  // total_count 1, softly bounded
  const auto decoder = make_negative_binomial_likelihood({.dispersion = CountDispersion::decoder}, {.field = kReal});
  EXPECT_EQ(decoder->parameter_shape(), (Shape{4, 3}));
  EXPECT_TRUE(decoder->parameters().empty());
  const auto both = torch::cat({output, torch::full({4, 2, 3}, 2.0, torch::kDouble)}, 1);
  expect_close(decoder->forward(both)->variance(), output.exp() + output.exp().square() * std::exp(-2.0), 1e-3);
  expect_close(decoder->forward(decoder->bias_for_mean(mean))->mean(), mean, 1e-10);
}

TEST(DiscretizedLogisticLikelihood, HasSigmoidMeansAndItsMixture) {
  const auto x = (wavy({4, 2, 3}, 1) * 127 + 127).round() / 255, output = wavy({4, 2, 3});
  const auto number = [](double v) { return torch::full({}, v, torch::kDouble); };
  const auto single = make_discretized_logistic_likelihood({.scale = 0.2, .variance = DecoderVariance::fixed}, {.field = kGrey});
  expect_close(single->forward(output)->log_prob(x), DiscretizedLogistic(output.sigmoid(), number(std::log(0.2)), 2).log_prob(x),
               1e-12);
  EXPECT_FALSE(single->bias_for_mean(x[0]).defined());

  constexpr int64_t S = 3;
  const auto mixture =
      make_discretized_logistic_likelihood({.components = S, .variance = DecoderVariance::per_pixel}, {.field = kGrey});
  ASSERT_EQ(mixture->parameter_shape(), (Shape{3 * S * 2, 3}));
  const auto parameters = wavy({4, 3 * S * 2, 3});
  // By hand: the first S x 2 rows are logits, then locations, then scales, component by component.
  const auto part = [&](int64_t which, int64_t s) { return parameters.narrow(1, which * S * 2 + s * 2, 2); };
  Tensor joint, total;
  for (int64_t s = 0; s < S; ++s) {
    const auto log_scale = -6 + torch::softplus(0.5 * part(2, s) + std::log(0.1) + 6);
    const auto log_prob = part(0, s) + DiscretizedLogistic(part(1, s).sigmoid(), log_scale, 2).log_prob_per_element(x);
    joint = joint.defined() ? torch::logaddexp(joint, log_prob) : log_prob;
    total = total.defined() ? torch::logaddexp(total, part(0, s)) : part(0, s);
  }
  expect_close(mixture->forward(parameters)->log_prob(x), (joint - total).sum({1, 2}), 1e-10);
  const auto shared = make_discretized_logistic_likelihood({.components = S}, {.field = kGrey});
  EXPECT_EQ(shared->parameter_shape(), (Shape{2 * S * 2, 3}));
  EXPECT_EQ(shared->forward(torch::zeros({4, 2 * S * 2, 3}))->event_shape(), (Shape{2, 3}));
}

TEST(CategoricalLikelihood, OfGreyLevelsKeepsTheirCoding) {
  const FieldSpec grey = {.shape = {1, 2, 2}, .kind = ValueKind::unit, .levels = 5};
  const auto made = make_categorical_likelihood({}, {.field = grey});
  ASSERT_EQ(made->parameter_shape(), (Shape{5, 2, 2}));
  const auto logits = wavy({3, 5, 2, 2});
  const auto p = made->forward(logits);
  auto total = torch::zeros({3, 1, 2, 2}, torch::kDouble);
  const auto log_p = logits.log_softmax(1);
  for (int64_t level = 0; level < 5; ++level) {
    const auto x = torch::full({3, 1, 2, 2}, static_cast<double>(level) / 4, torch::kFloat);
    expect_close(p->log_prob(x), log_p.select(1, level).sum({1, 2}), 1e-12);
    total += p->log_prob_per_element(x).exp();
  }
  expect_close(total, 1.0, 1e-12);
  const auto levels = torch::arange(5, torch::kDouble).view({1, 5, 1, 1}) / 4;
  expect_close(p->mean().squeeze(1), (log_p.exp() * levels).sum(1), 1e-12);
  expect_close(p->mode().squeeze(1), log_p.argmax(1).to(torch::kDouble) / 4, 1e-12);
  Stream noise(1, "noise", at::kCPU);
  const auto draws = p->sample({6, 3}, noise) * 4;
  expect_equal(draws, draws.round());
}

Tensor table_rows() {
  return values({0.5, 2, 7, -1.5, 0,  //
                 -1, 0, 0, 3, 1},
                {2, 5});
}

TEST(TableLikelihood, IsTheProductOfItsColumns) {
  const auto made = make_table_likelihood(
      {.columns = {{"income", ColumnFamily::student_t}, {"visits", ColumnFamily::negative_binomial}}}, {.field = kTable});
  made->to(torch::kDouble);
  EXPECT_EQ(made->parameter_shape(), (Shape{1 + 3 + 1 + 1 + 2}));
  {
    const torch::NoGradGuard no_grad;
    made->named_parameters()["log_scale"].copy_(values({0.2, -0.4}));
    made->named_parameters()["log_total_count"].fill_(0.7);
  }
  // Groups stand in the order in which the table first has them.
  const auto output = wavy({6, 2, 8});
  const auto column = [&](int64_t i) { return output.select(-1, i); };
  const auto x = table_rows();
  const auto bounded = [](double v) { return torch::full({}, -6 + std::log1p(std::exp(v + 6)), torch::kDouble); };
  const auto age = Normal(column(0), 2 * bounded(0.2), 0).log_prob(x.select(1, 0));
  const auto colour = output.slice(-1, 1, 4).log_softmax(-1);
  const auto visits =
      NegativeBinomial::with_mean(column(4), detail::bounded_log_count(torch::full({6, 2}, 0.7, torch::kDouble)), 0)
          ->log_prob(x.select(1, 2));
  const auto income = StudentT(torch::full({}, 4.0, torch::kDouble), column(5), bounded(-0.4), 0).log_prob(x.select(1, 3));
  const auto smokes = output.slice(-1, 6, 8).log_softmax(-1);
  const auto expected =
      torch::stack({age, torch::stack({colour.select(1, 0).select(-1, 2), colour.select(1, 1).select(-1, 0)}, 1), visits, income,
                    torch::stack({smokes.select(1, 0).select(-1, 0), smokes.select(1, 1).select(-1, 1)}, 1)},
                   -1);
  const auto p = made->forward(output);
  EXPECT_EQ(p->batch_shape(), (Shape{6, 2}));
  EXPECT_EQ(p->event_shape(), (Shape{5}));
  expect_close(p->log_prob_per_element(x), expected, 1e-10);
  expect_close(p->log_prob(x), expected.sum(-1), 1e-10);
  expect_close(p->mean().select(-1, 0), column(0), 1e-12);
  expect_equal(p->mean().select(-1, 1), output.slice(-1, 1, 4).argmax(-1).to(torch::kDouble));
  expect_close(p->mean().select(-1, 2), column(4).exp(), 1e-10);
}

TEST(TableLikelihood, MissingCellsCountNothingWhateverStandsInThem) {
  const auto made = make_table_likelihood({}, {.field = kTable});
  made->to(torch::kDouble);
  const auto valid = torch::tensor({1, 0, 1, 0, 1, 0, 1, 0, 1, 0}).to(torch::kBool).view({2, 5});
  const auto output = wavy({6, 2, 8}).requires_grad_();
  const auto whole = made->forward(output)->log_prob_per_element(table_rows());
  const auto expected = torch::where(valid, whole, 0.0).sum(-1);
  const auto expected_gradient = gradient_of(expected, output);
  for (const double anything : {0.0, 1.0, std::nan(""), 1e30, -3.5}) {
    const auto x = torch::where(valid, table_rows(), anything);
    const auto log_prob = made->forward(output)->log_prob(x, valid);
    expect_close(log_prob, expected, 1e-12);
    expect_close(gradient_of(log_prob, output), expected_gradient, 1e-12, 1e-15);
  }
}

TEST(TableLikelihood, DrawsInTheTablesCoding) {
  const auto made = make_table_likelihood({}, {.field = kTable});
  auto output = torch::zeros({8});
  output[6] = 100;      // smokes: no
  output[2 + 2] = 100;  // colour: b, after the two numbers
  Stream noise(1, "noise", at::kCPU);
  const auto p = made->forward(output.expand({2, 8}));
  const auto draws = p->sample({1000, 2}, noise);
  EXPECT_EQ(draws.sizes(), (Shape{1000, 2, 5}));
  expect_close(draws.select(-1, 1), 2.0);
  expect_close(draws.select(-1, 4), 0.0, 0, 0);
  const auto visits = draws.select(-1, 2);
  expect_equal(visits, visits.round());
  EXPECT_NEAR(visits.mean().item<double>(), 1, 0.1);
  EXPECT_NEAR(draws.select(-1, 0).std().item<double>(), 1, 0.1);
}

TEST(TableLikelihood, StartsAtTheMean) {
  const auto made = make_table_likelihood({}, {.field = kTable});
  const auto mean = torch::tensor({0.3F, 1.2F, 4.F, -0.2F, 0.6F});
  const auto start = made->forward(made->bias_for_mean(mean).unsqueeze(0))->mean()[0];
  for (const int64_t column : {0, 2, 3}) EXPECT_NEAR(start[column].item<double>(), mean[column].item<double>(), 1e-5);
}

TEST(TableLikelihood, NamesAndKindsOfColumnsAreChecked) {
  const auto message = [](const TableLikelihoodConfig& config) -> std::string {
    try {
      make_table_likelihood(config, {.field = kTable});
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_THAT(message({.columns = {{"incom", ColumnFamily::normal}}}),
              HasSubstr("columns names 'incom', which the table does not have"));
  EXPECT_THAT(message({.columns = {{"incom", ColumnFamily::normal}}}), HasSubstr("did you mean 'income'?"));
  EXPECT_EQ(message({.columns = {{"colour", ColumnFamily::poisson}}}),
            "likelihood 'table': column 'colour' is a category, which poisson is not for");
}

}  // namespace
}  // namespace elbo::likelihoods_test
