#include "elbo/evaluation/coherence.h"

#include <set>

#include "elbo/aggregators/poe.h"
#include "elbo/base/text.h"
#include "elbo/data/digits.h"
#include "elbo/evaluation/classifier.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/nn/mlp.h"
#include "fakes.h"
#include "labelled.h"

using namespace elbo;

namespace coherence_test {

/// Whatever it is given, it generates the real rows: as they are, or modality m moved down by m + 1 rows of a batch. Its code is
/// the label, a modality more of noise.
class Parrot final : public Model, public Multimodal, public Encodes {
 public:
  enum class Says { the_truth, something_else };
  Parrot(int64_t modalities, Says says) : says_(says) {
    for (int64_t m = 0; m < modalities; ++m) names_.push_back(fakes::Labelled::name(m));
    aggregator_ = make_poe({}, {.modalities = names_});
  }
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "parrot"; }
  const Subset& modalities() const override { return names_; }
  const Aggregator& aggregator() const override { return *aggregator_; }
  std::vector<Expert> experts(const Batch&, const Subset&) override { return {}; }
  Latents posterior(const Batch& batch, const std::vector<Expert>&) override {
    const auto code = torch::one_hot(batch.at("label"), 4).to(at::kFloat) + wavy({batch.size(), 4}).to(at::kFloat);
    return {.layers = {{.q = std::make_shared<Normal>(code, torch::zeros_like(code))}}};
  }
  std::vector<Tensor> encoder_parameters(const std::string&) override { return {}; }
  DistributionPtr prior_of(const std::string&, int64_t) override { return nullptr; }
  Latents condition(const Batch& batch, const Subset& given, int64_t K, Noise& noise) override {
    EXPECT_EQ(K, 1);
    EXPECT_FALSE(is_training());
    conditions.insert(given);
    return {.layers = {{.z = noise.normal({K, batch.size()}, {2})}}};
  }
  std::vector<Observation> decode(const Latents&, const Batch& batch, const Subset& targets) override {
    std::vector<Observation> observations;
    for (const auto& name : targets) {
      auto x = batch.at(name).nan_to_num();
      if (says_ == Says::something_else) x = x.roll(name.back() - '0' + 1, 0);
      observations.push_back({.name = name, .likelihood = Normal::with_scale(x.unsqueeze(0), 1, 1)});
    }
    return observations;
  }
  Tensor encode(const Batch& batch) override { return batch.at("m0"); }

  std::set<Subset> conditions = {};

 private:
  Subset names_ = {};
  Says says_;
  std::shared_ptr<Aggregator> aggregator_ = nullptr;
};

/// [N, M] bool: whether each classifier is right about each real test row, and [N, M] what it says.
struct Said {
  Tensor right = {}, what = {};
};
Said said_of_real_rows(const EvaluationContext& context, const fakes::Labelled& data, int64_t modalities) {
  std::vector<Tensor> what;
  for (int64_t m = 0; m < modalities; ++m) {
    const auto name = fakes::Labelled::name(m);
    what.push_back(classifier_of(context, name)->predict(data.whole(Split::test).at(name)));
  }
  const auto all = torch::stack(what, 1);
  return {.right = all == data.whole(Split::test).at("label").unsqueeze(1), .what = all};
}
Tensor share(const Tensor& hit) { return hit.to(at::kDouble).mean(); }

TEST(Coherence, OfRealTuplesIsWhatTheClassifiersReach) {
  const auto data = fakes::labelled({});
  Parrot model(3, Parrot::Says::the_truth);
  const EvaluationContext context{.model = model, .dataset = data};
  const auto result = evaluate(context, {"coherence"});
  const auto said = said_of_real_rows(context, *data, 3);
  EXPECT_GT(share(said.right).item<double>(), 0.6);  // the check below could say nothing otherwise
  EXPECT_LT(share(said.right).item<double>(), 0.99);
  const auto accuracy = said.right.to(at::kDouble).mean(0);
  for (int64_t m = 0; m < 3; ++m) {
    const auto expected = accuracy[m].item<double>();
    EXPECT_DOUBLE_EQ(result.at(text("classifier_accuracy(m", m, ")")).value, expected);
    for (const auto* given : {"m0", "m1", "m2", "m0,m1", "m0,m2", "m1,m2"}) {
      if (std::string_view(given).find(std::to_string(m)) != std::string_view::npos) continue;
      EXPECT_DOUBLE_EQ(result.at(text("coherence(", given, "->m", m, ")")).value, expected) << given;
    }
  }
  EXPECT_NEAR(result.at("coherence_1").value, accuracy.mean().item<double>(), 1e-12);
  EXPECT_NEAR(result.at("coherence_2").value, accuracy.mean().item<double>(), 1e-12);
  const auto agree = (said.what == said.what.select(1, 0).unsqueeze(1)).all(1);
  EXPECT_DOUBLE_EQ(result.at("coherence_joint").value, share(agree).item<double>());
  EXPECT_NEAR(result.at("coherence_joint").value, accuracy.prod().item<double>(), 0.08);
  EXPECT_EQ(model.conditions, (std::set<Subset>{{}, {"m0"}, {"m1"}, {"m2"}, {"m0", "m1"}, {"m0", "m2"}, {"m1", "m2"}}));
  // The error is over rows: those of the six pairs are the same.
  const auto per_row = said.right.to(at::kDouble).mean(1);
  const auto expected = measure("", "", per_row);
  EXPECT_NEAR(*result.at("coherence_1").standard_error, *expected.standard_error, 1e-12);
  expect_close(result.at("coherence_1").per_example, per_row, 1e-12, 1e-12);
  EXPECT_EQ(result.at("coherence_2").note,
            "generated from 2 others and taken for the label's class; chance is 0.25, real data reach classifier_accuracy");
}

TEST(Coherence, OfShuffledModalitiesIsChance) {
  const auto data = fakes::labelled({.rows = 1500, .noise = 0.2});
  Parrot model(3, Parrot::Says::something_else);
  const auto result = evaluate({.model = model, .dataset = data}, {"coherence"});
  EXPECT_GT(result.at("classifier_accuracy(m1)").value, 0.95);
  for (const auto* key : {"coherence_1", "coherence_2", "coherence(m0->m1)"})
    EXPECT_NEAR(result.at(key).value, 0.25, 0.06) << key;
  EXPECT_NEAR(result.at("coherence_joint").value, 0.25 * 0.25, 0.03);
}

TEST(Coherence, LeavesOutRowsThatLackWhatIsGiven) {
  const auto data = fakes::labelled({.lacking = "m1"});
  Parrot model(3, Parrot::Says::the_truth);
  const EvaluationContext context{.model = model, .dataset = data};
  const auto result = evaluate(context, {"coherence"});
  const auto there = data->whole(Split::test).fields.at("m1").present;
  const auto right = said_of_real_rows(context, *data, 3).right.select(1, 0);
  EXPECT_DOUBLE_EQ(result.at("coherence(m1->m0)").value, share(right.masked_select(there)).item<double>());
  EXPECT_EQ(result.at("coherence_examples(m1->m0)").value, there.sum().item<double>());
  EXPECT_EQ(result.at("classifier_accuracy_examples(m1)").value, there.sum().item<double>());
  EXPECT_FALSE(result.at("coherence(m1->m0)").per_example.defined());
  EXPECT_DOUBLE_EQ(result.at("coherence(m2->m0)").value, share(right).item<double>());
  EXPECT_TRUE(result.at("coherence(m2->m0)").per_example.defined());
  EXPECT_EQ(fakes::message_of([&] { result.at("coherence_examples(m2->m0)"); }).substr(0, 14), "no measurement");
}

TEST(Coherence, LooksAtTheSubsetsAskedFor) {
  Parrot model(3, Parrot::Says::the_truth);
  EvaluationContext context{.model = model, .dataset = fakes::labelled({.rows = 60})};
  context.subsets = std::vector<Subset>{{"m0", "m2"}, {"m0", "m1", "m2"}};
  const auto result = evaluate(context, {"coherence"});
  EXPECT_EQ(model.conditions, (std::set<Subset>{{}, {"m0", "m2"}}));
  EXPECT_EQ(result.at("coherence_2").value, result.at("coherence(m0,m2->m1)").value);
  EXPECT_NE(result.at("coherence_2").note.find("over 1 of 3 pairs"), std::string::npos) << result.at("coherence_2").note;
  context.subsets = std::vector<Subset>{{"m9"}};
  EXPECT_EQ(fakes::message_of([&] { evaluate(context, {"coherence"}); }).substr(0, 9), "subsets: ");
}

TEST(Coherence, OfManyModalitiesTakesTheSmallestAndLargestSubsets) {
  Parrot model(6, Parrot::Says::the_truth);
  evaluate({.model = model, .dataset = fakes::labelled({.modalities = 6, .rows = 20})}, {"coherence"});
  EXPECT_EQ(model.conditions.size(), 1u + 6 + 6);
  EXPECT_TRUE(model.conditions.contains(Subset{"m0", "m1", "m2", "m3", "m4"}));
}

TEST(Coherence, SaysWhatItNeeds) {
  fakes::Inert inert;
  EXPECT_EQ(fakes::message_of([&] { evaluate({.model = inert, .dataset = fakes::labelled({.rows = 9})}, {"coherence"}); }),
            "metric 'coherence' needs a model of several modalities; this model is quantized and can do nothing beyond that");
  Parrot model(2, Parrot::Says::the_truth);
  EXPECT_EQ(fakes::message_of([&] { evaluate({.model = model, .dataset = fakes::wavy_rows(4)}, {"coherence"}); }),
            "metric 'coherence' needs data with a field label that holds one class an example; this data set has ");
  Parrot alone(1, Parrot::Says::the_truth);
  EXPECT_EQ(fakes::message_of([&] { evaluate({.model = alone, .dataset = fakes::labelled({.rows = 9})}, {"coherence"}); }),
            "metric 'coherence' needs a model of at least two modalities");
}

TEST(MeanOfHits, CountsRowsThatNumbersShareOnce) {
  const auto all = torch::ones({4}, torch::kBool);
  const auto hit = values({1, 0, 0, 1});
  // Twice the same number is no more information.
  const auto once = elbo::detail::mean_of_hits("a", {{.hit = hit, .counted = all}});
  const auto twice = elbo::detail::mean_of_hits("a", {{.hit = hit, .counted = all}, {.hit = hit, .counted = all}});
  EXPECT_DOUBLE_EQ(twice.value, 0.5);
  EXPECT_NEAR(*twice.standard_error, *once.standard_error, 1e-15);
  EXPECT_NEAR(*once.standard_error, std::sqrt(1.0 / 3 / 4), 1e-15);
  // Each number is the mean of its own rows: 1/2 over four and 1 over two.
  const auto partial = elbo::detail::mean_of_hits("a", {{.hit = hit, .counted = all}, {.hit = hit, .counted = hit > 0}});
  EXPECT_DOUBLE_EQ(partial.value, 0.75);
  EXPECT_FALSE(partial.per_example.defined());
}

/// A picture and its label as they come from the embedded digits, untrained.
struct DigitsAndLabels {
  DigitsAndLabels() {
    dataset->load(at::kCPU);
    MultimodalVaeConfig config;
    config.latent_size = 8;
    for (const auto* name : {"picture", "label"}) {
      auto& modality = config.modalities[name];
      modality.encoder.set("mlp", MlpConfig{.hidden = {16}});
      modality.decoder.set("mlp", MlpConfig{.hidden = {16}});
    }
    config.modalities["picture"].field = "x";
    config.modalities["picture"].likelihood = LikelihoodChoice(likelihoods, "normal");
    config.modalities["label"].likelihood = LikelihoodChoice(likelihoods, "categorical");
    Stream init(3, "init", at::kCPU);
    model = std::make_shared<MultimodalVae>(config, ModelContext{.spec = dataset->spec(), .init = init});
  }
  EvaluationResult measured(int64_t batch_size) const {
    return evaluate({.model = *model, .dataset = dataset, .limit = 100, .batch_size = batch_size},
                    {"coherence", "frechet_classifier", "latent_classification"});
  }
  std::shared_ptr<Dataset> dataset = make_digits({}, {});
  std::shared_ptr<MultimodalVae> model = nullptr;
};

TEST(Coherence, TakesALabelForAModalityAndAnyBatchSize) {
  const DigitsAndLabels fixture;
  const auto result = fixture.measured(100), again = fixture.measured(37);
  ASSERT_EQ(result.measurements.size(), again.measurements.size());
  for (size_t i = 0; i < result.measurements.size(); ++i) {
    const auto& one = result.measurements[i];
    EXPECT_EQ(one.name, again.measurements[i].name);
    EXPECT_NEAR(one.value, again.measurements[i].value, 1e-3 * (1 + std::abs(one.value))) << one.name;
  }
  EXPECT_EQ(result.at("classifier_accuracy(label)").value, 1);
  EXPECT_GT(result.at("classifier_accuracy(picture)").value, 0.9);
  EXPECT_LT(result.at("coherence(picture->label)").value, 0.4);  // nothing was learnt
  EXPECT_GT(result.at("frechet_classifier(picture)").value, 1);
  EXPECT_EQ(fakes::message_of([&] { result.at("frechet_classifier(label)"); }).substr(0, 14), "no measurement");
  EXPECT_GT(result.at("latent_accuracy(label)").value, 0.9);  // of a random map of indicators
  EXPECT_GT(result.at("latent_accuracy(picture)").value, 0.2);
}

TEST(FrechetClassifier, OfRealRowsIsNothingAndOfSubsetsToo) {
  const auto data = fakes::labelled({.rows = 200});
  Parrot truth(2, Parrot::Says::the_truth);
  EvaluationContext context{.model = truth, .dataset = data};
  context.subsets = Subsets::all;
  const auto result = evaluate(context, {"frechet_classifier"});
  EXPECT_EQ(result.measurements.size(), 4u);  // two from the prior, two given the other
  const auto size = classifier_of(context, "m0")->features(data->whole(Split::test).at("m0")).square().sum(1).mean();
  for (const auto& measured : result.measurements) EXPECT_LT(measured.value, 1e-5 * size.item<double>()) << measured.name;
  EXPECT_NO_THROW(result.at("frechet_classifier(m0->m1)"));
}

TEST(LatentClassification, ReadsTheLabelOutOfCodes) {
  const auto data = fakes::labelled({});
  Parrot model(2, Parrot::Says::the_truth);
  const auto result = evaluate({.model = model, .dataset = data}, {"latent_classification"});
  EXPECT_GT(result.at("latent_accuracy").value, 0.5);
  EXPECT_EQ(result.at("latent_accuracy").value, result.at("latent_accuracy(m1)").value);
  EXPECT_EQ(result.at("latent_accuracy").note, "logistic regression on posterior means of 400 training rows; chance is 0.25");
}

}  // namespace coherence_test
