#include "elbo/evaluation/subset_likelihood.h"

#include "elbo/aggregators/joint.h"
#include "elbo/aggregators/moe.h"
#include "elbo/aggregators/mopoe.h"
#include "elbo/aggregators/poe.h"
#include "elbo/aggregators/unimodal.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/evaluation/subsets.h"
#include "fakes.h"
#include "support/linear_bed.h"
#include "tuples.h"

/// log p of subsets of modalities and of some given others, where every integral is known.
namespace elbo::subset_likelihood_test {

constexpr int64_t kUnlimited = int64_t{1} << 40;
constexpr auto kFactors = LinearBed::Encodes::likelihood_factors;
constexpr auto kPosteriors = LinearBed::Encodes::posteriors;

Subset names_of(const std::vector<size_t>& places) {
  Subset names;
  for (const auto m : places) names.push_back(LinearBed::name(m));
  return names;
}

SubsetEstimates estimates(const LinearBed& bed, const SubsetQuery& query, const Batch& batch, int64_t K,
                          int64_t max_rows = kUnlimited, int64_t first_row = 0) {
  GranuleNoise noise(3, at::kCPU, torch::kDouble);
  bed.model->eval();
  return subset_log_likelihood(*bed.model, query, batch, first_row, K, max_rows, noise);
}

/// q(z | x_A) is the exact posterior of every subset A.
LinearBed exact_bed(int64_t private_size = 0) {
  return {aggregation("poe", PoeConfig{}), kFactors, {.sizes = {4, 5, 6}, .private_size = private_size}};
}
LinearBed mixture_bed() { return {aggregation("mopoe", MopoeConfig{}), kFactors}; }

TEST(SubsetLikelihood, IsTheEvidenceOfEverySubsetFromOneSampleWhereThePosteriorIsExact) {
  for (const int64_t private_size : {0, 1}) {
    const auto bed = exact_bed(private_size);
    const auto batch = bed.draw(6);
    for (const auto& places : std::vector<std::vector<size_t>>{{0}, {1}, {2}, {0, 1}, {0, 2}, {1, 2}, {0, 1, 2}}) {
      SCOPED_TRACE(subset_name(names_of(places)) + ", private " + std::to_string(private_size));
      for (const int64_t K : {1, 5}) {
        const auto names = names_of(places);
        const auto found = estimates(bed, {.given = names, .evidence = names}, batch, K).evidence;
        expect_close(found.log_likelihood.per_example, bed.log_evidence(batch, places), 1e-10);
        expect_close(found.log_likelihood.effective_sample_size, static_cast<double>(K), 1e-9);
      }
    }
  }
}

/// Sutter et al.'s code reads samples and rows in the wrong order here, which mixes the rows' numbers.
TEST(SubsetLikelihood, RowsDoNotMix) {
  const auto bed = mixture_bed();
  auto batch = bed.draw(2);
  for (const auto& name : bed.all()) batch.fields[name].value[1] *= 20;
  const SubsetQuery query{.given = {"m0", "m1"}, .evidence = {"m0", "m1"}, .targets = {"m2"}};
  const auto both = estimates(bed, query, batch, 12);
  EXPECT_GT((both.evidence.log_likelihood.per_example[0] - both.evidence.log_likelihood.per_example[1]).item<double>(), 500);
  for (int64_t row = 0; row < 2; ++row) {
    Batch alone{.fields = {}, .index = batch.index.narrow(0, row, 1)};
    for (const auto& name : bed.all()) alone.fields[name] = {.value = batch.at(name).narrow(0, row, 1)};
    const auto found = estimates(bed, query, alone, 12, kUnlimited, row);
    expect_close(both.evidence.log_likelihood.per_example.narrow(0, row, 1), found.evidence.log_likelihood.per_example, 1e-12);
    expect_close(both.predictive.at("m2").log_likelihood.per_example.narrow(0, row, 1),
                 found.predictive.at("m2").log_likelihood.per_example, 1e-12);
  }
}

TEST(SubsetLikelihood, TwoChunksAreOneToTheBit) {
  const auto bed = mixture_bed();
  const auto batch = bed.draw(4);
  const SubsetQuery query{.given = {"m0", "m2"}, .evidence = {"m0", "m2"}, .targets = {"m1"}};
  const auto whole = estimates(bed, query, batch, 50), chunks = estimates(bed, query, batch, 50, 4 * 32);
  expect_equal(chunks.evidence.log_likelihood.per_example, whole.evidence.log_likelihood.per_example);
  expect_equal(chunks.evidence.log_likelihood.effective_sample_size, whole.evidence.log_likelihood.effective_sample_size);
  expect_equal(chunks.predictive.at("m1").log_likelihood.per_example, whole.predictive.at("m1").log_likelihood.per_example);
}

TEST(SubsetLikelihood, OfAllIsWhatAnyVariationalModelGets) {
  const auto bed = mixture_bed();
  const auto batch = bed.draw(4);
  GranuleNoise noise(3, at::kCPU, torch::kDouble);
  const auto expected = importance_log_likelihood(*bed.model, batch, 0, 20, kUnlimited, noise);
  const auto found = estimates(bed, {.given = bed.all(), .evidence = bed.all()}, batch, 20).evidence.log_likelihood;
  expect_equal(found.per_example, expected.per_example);
  expect_equal(found.effective_sample_size, expected.effective_sample_size);
}

TEST(SubsetLikelihood, FromThePriorGrowsWithTheSamplesAndStaysBelow) {
  const auto bed = exact_bed();
  const auto batch = bed.draw(400);
  const auto truth = bed.log_evidence(batch, {0}).mean().item<double>();
  double before = -INFINITY;
  for (const int64_t K : {1, 8, 64, 512}) {
    const auto found = estimates(bed, {.given = {}, .evidence = {"m0"}}, batch, K).evidence.log_likelihood.per_example;
    const auto mean = found.mean().item<double>();
    EXPECT_GT(mean, before) << "K = " << K;
    EXPECT_LT(mean, truth) << "K = " << K;
    before = mean;
  }
  EXPECT_NEAR(before, truth, 0.1);
}

TEST(SubsetLikelihood, PredictiveIsTheMeanOfTheTargetsDensity) {
  const auto bed = mixture_bed();
  const auto batch = bed.draw(3);
  const Subset given = {"m0", "m1"};
  GranuleNoise noise(3, at::kCPU, torch::kDouble);
  noise.place(0, 0);
  const torch::NoGradGuard no_grad;
  const auto latents = drawn(bed.model->posterior(batch, bed.model->experts(batch, given)), 3, 7, noise);
  ASSERT_EQ(latents.layers[0].z.sizes().vec(), (Shape{3, 7, 3, 3}));  // m0, m1 and both
  const auto log_p = bed.model->decode(latents, batch, {"m2"})[0].likelihood->log_prob(batch.at("m2"));
  const auto expected = torch::logsumexp(log_p.flatten(0, 1), 0) - std::log(21.0);
  const auto found = estimates(bed, {.given = given, .evidence = given, .targets = {"m2"}}, batch, 7);
  expect_close(found.predictive.at("m2").log_likelihood.per_example, expected, 1e-12);
}

/// The mean within 0.01, each row within what its effective sample size allows.
void expect_near(const LogLikelihood& estimate, const Tensor& truth) {
  const auto excess = (estimate.per_example - truth).abs() * estimate.effective_sample_size.sqrt();
  EXPECT_LT(excess.max().item<double>(), 4.5) << estimate.per_example << truth << estimate.effective_sample_size;
  EXPECT_NEAR(estimate.per_example.mean().item<double>(), truth.mean().item<double>(), 0.01);
}

TEST(SlowSubsetLikelihood, BothFormsOfAConditionalAreSchursValue) {
  constexpr int64_t kSamples = 100'000, kMaxRows = 1 << 19;
  for (const int64_t private_size : {0, 1}) {
    const auto bed = exact_bed(private_size);
    const auto batch = bed.draw(4);
    const auto truth = bed.log_evidence(batch, {0, 1}) - bed.log_evidence(batch, {0});
    const auto given = estimates(bed, {.given = {"m0"}, .evidence = {"m0"}, .targets = {"m1"}}, batch, kSamples, kMaxRows);
    const auto both = estimates(bed, {.given = {"m0", "m1"}, .evidence = {"m0", "m1"}}, batch, kSamples, kMaxRows);
    expect_near(given.predictive.at("m1").log_likelihood, truth);
    const auto& joint = both.evidence.log_likelihood;
    expect_close(joint.per_example - given.evidence.log_likelihood.per_example, truth, 0, 1e-9);
  }
  // A mixture: q(z | x_A) isn't exact, the ratio is right all the same, the predictive form tells what the model generates.
  const auto bed = mixture_bed();
  const auto batch = bed.draw(4);
  const auto truth = bed.log_evidence(batch, {0, 1, 2}) - bed.log_evidence(batch, {0, 1});
  const Subset two = {"m0", "m1"};
  const auto given = estimates(bed, {.given = two, .evidence = two, .targets = {"m2"}}, batch, kSamples, kMaxRows);
  const auto all = estimates(bed, {.given = bed.all(), .evidence = bed.all()}, batch, kSamples, kMaxRows);
  expect_near({.per_example = all.evidence.log_likelihood.per_example - given.evidence.log_likelihood.per_example,
               .effective_sample_size = given.evidence.log_likelihood.effective_sample_size},
              truth);
  EXPECT_GT((given.predictive.at("m2").log_likelihood.per_example - truth).abs().max().item<double>(), 0.05);
}

/// Factors in the loss, and a model that was left in training mode.
TEST(SubsetLikelihood, WeightsNeverEnter) {
  const auto model_with = [](double weight) {
    MultimodalVaeConfig config;
    config.latent_size = 2;
    DataSpec spec;
    for (const auto* name : {"a", "b"}) {
      config.modalities[name].likelihood.set("normal", NormalLikelihoodConfig{.scale = 1});
      config.modalities[name].weight = weight;
      spec[name] = {.shape = {3}, .kind = ValueKind::real};
    }
    Stream init(1, "init", at::kCPU);
    return std::make_shared<MultimodalVae>(config, ModelContext{.spec = spec, .init = init});
  };
  Batch batch{.fields = {{"a", {.value = wavy({4, 3}).to(at::kFloat)}}, {"b", {.value = wavy({4, 3}, 1).to(at::kFloat)}}},
              .index = torch::arange(4)};
  const auto numbers = [&](double weight, bool training) {
    const auto model = model_with(weight);
    model->train(training);
    GranuleNoise noise(1);
    return subset_log_likelihood(*model, {.given = {"a"}, .evidence = {"a"}, .targets = {"b"}}, batch, 0, 9, kUnlimited, noise);
  };
  const auto plain = numbers(1, false);
  for (const bool training : {false, true}) {
    const auto weighted = numbers(30, training);
    expect_equal(weighted.evidence.log_likelihood.per_example, plain.evidence.log_likelihood.per_example);
    expect_equal(weighted.predictive.at("b").log_likelihood.per_example, plain.predictive.at("b").log_likelihood.per_example);
  }
}

/// The metric, on rows of which some lack modalities.
class SubsetLikelihoodMetric : public ::testing::Test {
 protected:
  EvaluationResult measured(std::optional<SubsetChoice> subsets) {
    bed.model->eval();
    GranuleNoise noise(3, at::kCPU, torch::kDouble);
    return evaluate({.model = *bed.model,
                     .dataset = std::make_shared<fakes::Tuples>(batch),
                     .samples = 3,
                     .batch_size = 4,
                     .noise = &noise,
                     .subsets = std::move(subsets)},
                    {"log_likelihood"});
  }
  static std::vector<std::string> names(const EvaluationResult& result) {
    std::vector<std::string> all;
    for (const auto& measured : result.measurements) all.push_back(measured.name);
    return all;
  }

  LinearBed bed = exact_bed();
  Batch batch = bed.draw(10);
};

TEST_F(SubsetLikelihoodMetric, WithoutSubsetsIsOfAll) {
  const auto result = measured(std::nullopt);
  EXPECT_EQ(names(result), (std::vector<std::string>{"log_likelihood", "effective_sample_size"}));
  expect_close(result.at("log_likelihood_nats").per_example, bed.log_evidence(batch), 1e-10);
  EXPECT_EQ(result.at("log_likelihood_nats").note,
            "a lower bound in expectation, from 3 importance samples an example: compare equal numbers only");
}

TEST_F(SubsetLikelihoodMetric, NamesWhatItIsGivenAndOf) {
  const auto result = measured(std::vector<Subset>{{"m1", "m0"}});
  EXPECT_EQ(names(result), (std::vector<std::string>{"log_likelihood", "effective_sample_size", "log_likelihood(m0,m1)",
                                                     "effective_sample_size(m0,m1)", "log_likelihood(m2|m0,m1)",
                                                     "effective_sample_size(m2|m0,m1)", "log_likelihood_ratio(m2|m0,m1)"}));
  expect_close(result.at("log_likelihood(m0,m1)_nats").per_example, bed.log_evidence(batch, {0, 1}), 1e-10);
  const auto schur = bed.log_evidence(batch) - bed.log_evidence(batch, {0, 1});
  const auto& ratio = result.at("log_likelihood_ratio(m2|m0,m1)_nats");
  expect_close(ratio.per_example, schur, 1e-9);
  EXPECT_NEAR(ratio.value, schur.mean().item<double>(), 1e-9);
  EXPECT_NEAR(ratio.standard_error.value(), schur.std().item<double>() / std::sqrt(10.0), 1e-9);
  EXPECT_EQ(measured(Subsets::all).measurements.size(), 2u + 2 * 6 + 3 * 9);  // 9: three of pairs, six of singles
}

TEST_F(SubsetLikelihoodMetric, LeavesOutRowsThatLackWhatANumberIsAbout) {
  const auto whole = batch;
  auto& m2 = batch.fields["m2"];
  m2.present = torch::ones({10}, torch::kBool);
  m2.value = m2.value.clone();
  for (const int64_t row : {1, 6, 7}) {
    m2.present[row] = false;
    m2.value[row] = NAN;
  }
  const auto result = measured(Subsets::singles);
  const auto over = [&](const std::vector<size_t>& places) {
    return bed.log_evidence(whole, places).masked_select(m2.present).mean().item<double>();
  };
  EXPECT_NEAR(result.at("log_likelihood_nats").value, over({0, 1, 2}), 1e-9);
  EXPECT_FALSE(result.at("log_likelihood_nats").per_example.defined());
  EXPECT_EQ(
      result.at("log_likelihood_nats").note,
      "a lower bound in expectation, from 3 importance samples an example: compare equal numbers only; 3 of 10 examples lack "
      "modalities and are left out");
  EXPECT_EQ(result.at("examples").value, 7);
  EXPECT_NEAR(result.at("log_likelihood(m2)_nats").value, over({2}), 1e-9);
  EXPECT_EQ(result.at("examples(m2)").value, 7);
  EXPECT_NEAR(result.at("log_likelihood(m0)_nats").value, bed.log_evidence(whole, {0}).mean().item<double>(), 1e-9);
  EXPECT_NEAR(result.at("log_likelihood_ratio(m2|m1)_nats").value, over({1, 2}) - over({1}), 1e-9);
  EXPECT_EQ(result.at("examples(m2|m1)").value, 7);
  EXPECT_EQ(result.at("examples(m0|m2)").value, 7);  // given m2
  EXPECT_NEAR(result.at("log_likelihood_ratio(m0|m2)_nats").value, over({0, 2}) - over({2}), 1e-9);
  const auto all_names = names(result);
  EXPECT_EQ(std::count(all_names.begin(), all_names.end(), "examples(m0)"), 0);
}

TEST_F(SubsetLikelihoodMetric, RefusesWhatTheModelDoesNotHave) {
  EXPECT_EQ(fakes::message_of([&] {
              measured(std::vector<Subset>{{"m0", "m3"}});
            }),
            "subsets: 'm3' is no modality, did you mean 'm0'? The modalities are m0, m1, m2");
  bed = LinearBed(aggregation("joint", JointConfig{.unimodal_encoders = false}), kPosteriors);
  EXPECT_EQ(fakes::message_of([&] { measured(std::vector<Subset>{{"m0"}}); }),
            "subsets: [m0]: aggregation 'joint' has no posterior given these; it encodes all modalities together");
  EXPECT_EQ(names(measured(Subsets::all)), (std::vector<std::string>{"log_likelihood", "effective_sample_size"}));
  bed = LinearBed(aggregation("unimodal", UnimodalConfig{.modality = "m1"}), kPosteriors);
  EXPECT_EQ(fakes::message_of([&] {
              measured(std::vector<Subset>{{"m1"}, {"m2"}});
            }),
            "subsets: [m2]: aggregation 'unimodal' has no posterior given these; it encodes m1");
}

}  // namespace elbo::subset_likelihood_test
