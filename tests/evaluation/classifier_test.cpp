#include "elbo/evaluation/classifier.h"

#include <unistd.h>

#include <fstream>

#include "../../src/evaluation/classifier_network.h"
#include "elbo/data/digits.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/normal.h"
#include "elbo/io/file.h"
#include "fakes.h"
#include "labelled.h"

using namespace elbo;

namespace classifier_test {
namespace fs = std::filesystem;

double accuracy(const Classifier& classifier, const Batch& batch, const std::string& field) {
  const auto hit = classifier.predict(batch.at(field)) == batch.at("label");
  return hit.to(at::kDouble).mean().item<double>();
}

/// A folder of its own, and a task whose steps of training are counted.
class KeptClassifier : public testing::Test {
 protected:
  KeptClassifier()
      : folder_(fs::temp_directory_path() / ("elbo_classifier_" + std::to_string(::getpid()))), data_(fakes::labelled({})) {
    fs::remove_all(folder_);
    task_ = {.dataset = data_, .field = "m1", .progress = [this](const EvaluationProgress&) { ++steps_; }};
  }
  ~KeptClassifier() override { fs::remove_all(folder_); }
  Tensor features() { return kept_classifier(task_, folder_)->features(data_->whole(Split::test).at("m1")); }
  fs::path only_file() const {
    std::vector<fs::path> files;
    for (const auto& entry : fs::directory_iterator(folder_)) files.push_back(entry.path());
    EXPECT_EQ(files.size(), 1u);
    return files.at(0);
  }
  int64_t trained() { return std::exchange(steps_, 0); }

  fs::path folder_;
  std::shared_ptr<fakes::Labelled> data_;
  ClassifierTask task_ = {};
  int64_t steps_ = 0;
};

TEST_F(KeptClassifier, IsReadBackToTheBitInsteadOfTrained) {
  const auto fresh = features();
  EXPECT_EQ(trained(), 500);
  EXPECT_EQ(only_file().filename().string().substr(0, 14), "classifier-m1-");
  expect_equal(features(), fresh);
  EXPECT_EQ(trained(), 0);
}

TEST_F(KeptClassifier, OfADamagedFileIsTrainedAgainAndReplaced) {
  const auto fresh = features();
  const auto file = only_file();
  const auto whole = read_bytes(file, size_t{1} << 24);
  const auto damaged = [&](size_t at, size_t keep) {
    auto bytes = whole;
    bytes.at(at) ^= std::byte{1};
    bytes.resize(keep);
    write_atomically(file, bytes);
    trained();
    testing::internal::CaptureStderr();
    const auto again = features();
    const auto log = testing::internal::GetCapturedStderr();
    EXPECT_NE(log.find("the classifier of m1 is trained again"), std::string::npos) << log;
    EXPECT_EQ(trained(), 500);
    expect_equal(again, fresh);
    EXPECT_EQ(read_bytes(file, size_t{1} << 24), whole);
  };
  damaged(whole.size() - 3, whole.size());  // one bit of a weight
  damaged(0, whole.size() / 2);
}

TEST_F(KeptClassifier, OfOtherDataIsAnother) {
  features();
  trained();
  data_ = fakes::labelled({.fingerprint = "others"});
  task_.dataset = data_;
  features();
  EXPECT_EQ(trained(), 500);
}

TEST_F(KeptClassifier, NeedsNoPlaceToBeKept) {
  std::ofstream(folder_) << "a file where the folder should be";
  testing::internal::CaptureStderr();
  features();
  EXPECT_NE(testing::internal::GetCapturedStderr().find("could not be kept"), std::string::npos);
  task_.field = "label";
  EXPECT_EQ(kept_classifier(task_, {})->num_features(), 0);
}

TEST(Classifier, IsSharedForAsLongAsTheDataLive) {
  fakes::Inert model;
  EvaluationContext context{.model = model, .dataset = fakes::labelled({.rows = 50})};
  const std::weak_ptr<const Classifier> first = classifier_of(context, "m0");
  EXPECT_EQ(classifier_of(context, "m0"), first.lock());
  EXPECT_NE(classifier_of(context, "m1"), first.lock());
  context.dataset = fakes::labelled({.rows = 50});
  EXPECT_NE(classifier_of(context, "m0"), nullptr);
  EXPECT_TRUE(first.expired());
}

TEST(Classifier, LearnsWhatThereIsToLearnTwiceTheSame) {
  const auto data = fakes::labelled({.rows = 1000, .noise = 0.2});
  const auto classifier = train_classifier({.dataset = data, .field = "m1"});
  EXPECT_GT(accuracy(*classifier, data->whole(Split::test), "m1"), 0.97);
  const auto& x = data->whole(Split::test).at("m1");
  expect_equal(classifier->features(x), classifier->features(x));  // nothing is dropped
  expect_equal(train_classifier({.dataset = data, .field = "m1"})->features(x), classifier->features(x));
  EXPECT_FALSE(classifier->features(x).requires_grad());
  EXPECT_EQ(classifier->num_features(), 128);
}

TEST(Classifier, OfAnotherFieldStartsElsewhere) {
  EXPECT_NE(elbo::detail::classifier_seed("m0"), elbo::detail::classifier_seed("m1"));
}

TEST(Classifier, NeverLooksAtRowsThatLackTheField) {
  const auto lacking = fakes::labelled({.rows = 300, .lacking = "m1"});
  const auto others = fakes::labelled({.rows = 300, .lacking = "m1", .absent_value = 1e6, .absent_label = 1});
  const auto whole = fakes::labelled({.rows = 300});
  const auto& x = whole->whole(Split::test).at("m1");
  const auto features = train_classifier({.dataset = lacking, .field = "m1"})->features(x);
  expect_finite(features);
  expect_equal(train_classifier({.dataset = others, .field = "m1"})->features(x), features);
  EXPECT_FALSE(train_classifier({.dataset = whole, .field = "m1"})->features(x).equal(features));
}

TEST(Classifier, ReadsDigits) {
  const std::shared_ptr<Dataset> digits = make_digits({}, {});
  digits->load(at::kCPU);
  const auto classifier = train_classifier({.dataset = digits, .field = "x"});
  Stream unused(1, "data", at::kCPU);
  const auto test = digits->gather(Split::test, torch::arange(digits->size(Split::test)), unused);
  EXPECT_GT(accuracy(*classifier, test, "x"), 0.95);
}

TEST(Classifier, TakesImagesOfAnySizeVectorsAndClasses) {
  const std::vector<FieldSpec> specs = {{.shape = {1, 28, 28}, .kind = ValueKind::unit},
                                        {.shape = {3, 17, 20}, .kind = ValueKind::unit},
                                        {.shape = {1, 64, 96}, .kind = ValueKind::binary},
                                        {.shape = {2, 8, 8}, .kind = ValueKind::unit},
                                        {.shape = {}, .kind = ValueKind::real}};
  for (const auto& spec : specs) {
    Stream init(1, "init", at::kCPU);
    const elbo::detail::ClassifierNetwork network(spec, 7, init);
    const auto x = wavy(joined({3}, spec.shape)).to(at::kFloat);
    EXPECT_EQ(network.features(x).sizes(), at::IntArrayRef({3, 128})) << shape_text(spec.shape);
    EXPECT_EQ(network.predict(x).sizes(), at::IntArrayRef({3}));
  }
  Stream init(1, "init", at::kCPU);
  const elbo::detail::ClassifierNetwork words({.shape = {5}, .kind = ValueKind::category, .num_classes = 9}, 7, init);
  EXPECT_EQ(words.predict(torch::arange(10).view({2, 5}) % 9).sizes(), at::IntArrayRef({2}));
}

TEST(Classifier, IsShownMeansAndOfClassesTheLikeliest) {
  const auto normal = Normal::with_scale(torch::full({1, 2, 3}, 0.25), 1, 1);
  expect_close(shown_to_classifier(*normal, {.shape = {3}, .kind = ValueKind::real}), 0.25);
  const Categorical classes(values({0, 1, 5, 9, 1, 2}, {1, 2, 3}), 0);
  expect_equal(shown_to_classifier(classes, {.kind = ValueKind::category, .num_classes = 3}), torch::tensor({{2, 0}}));
}

TEST(Classifier, SaysWhatDataItNeeds) {
  DataSpec spec;
  spec["x"] = spec["m0"] = {};
  EXPECT_EQ(fakes::message_of([&] { label_spec(spec, "coherence"); }),
            "metric 'coherence' needs data with a field label that holds one class an example; this data set has m0, x");
  spec["label"] = {.shape = {2}, .kind = ValueKind::category, .num_classes = 2};
  EXPECT_EQ(
      fakes::message_of([&] { label_spec(spec, "x"); }),
      "metric 'x' needs data with a field label that holds one class an example; this data set has a label of another kind");
  const ClassifierTask task{.dataset = fakes::labelled({.rows = 5}), .field = "m7"};
  EXPECT_EQ(fakes::message_of([&] { train_classifier(task); }), "a classifier of the field m7, which these data don't have");
}

}  // namespace classifier_test
