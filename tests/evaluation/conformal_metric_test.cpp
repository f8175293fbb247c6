#include <cmath>
#include <cstdio>

#include "elbo/evaluation/conformal.h"
#include "elbo/evaluation/evaluator.h"
#include "elbo/fitting/conformal.h"
#include "fakes.h"
#include "support/tensors.h"

namespace elbo::conformal_metric_test {

/// Maps of waves and noise in three splits, and what they look like at half the size: fields target and x.
class Waves final : public Dataset {
 public:
  Waves(int64_t num_valid, int64_t num_test) {
    Stream stream(1, "waves", at::kCPU);
    for (const int64_t count : {int64_t{4}, num_valid, num_test}) {
      maps_.push_back((stream.normal({count}, {1, 8, 8}) + 2 * stream.normal({count}, {1, 8, 1})).sigmoid());
    }
    spec_ = {{"x", {.shape = {1, 4, 4}, .kind = ValueKind::unit}}, {"target", {.shape = {1, 8, 8}, .kind = ValueKind::unit}}};
  }
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split split) const override { return maps(split).size(0); }
  int64_t batch_size() const override { return 64; }
  void load(at::Device) override {}
  Batch gather(Split split, const Tensor& index, Stream&) const override {
    const auto rows = maps(split).index_select(0, index);
    return {.fields = {{"x", {.value = torch::avg_pool2d(rows, 2)}}, {"target", {.value = rows}}}, .index = index};
  }
  std::string fingerprint() const override { return "waves"; }
  Tensor training_mean() const override { return maps_[0].mean(0); }
  const Tensor& maps(Split split) const { return maps_[static_cast<size_t>(split)]; }

 private:
  std::vector<Tensor> maps_ = {};
  DataSpec spec_ = {};
};

/// Enlarges by repeating pixels, then gives the negative and brightens to the right: wrong everywhere, not equally.
class WrongEnlarger final : public Model, public Reconstructs {
 public:
  std::string_view family() const override { return "quantized"; }
  std::string summary() const override { return "wrong"; }
  Tensor reconstruct(const Batch& batch) override { return enlarged(batch.at("x")); }
  std::string reconstructed_field() const override { return "target"; }
  static Tensor enlarged(const Tensor& x) {
    return 1 - x.repeat_interleave(2, 2).repeat_interleave(2, 3) + 0.1 * torch::arange(8);
  }
};

EvaluationResult measured(const std::shared_ptr<Waves>& waves, Split split = Split::test, int64_t batch_size = 128) {
  WrongEnlarger model;
  return evaluate({.model = model, .dataset = waves, .split = split, .batch_size = batch_size}, {"conformal"});
}

// The promise holds of a wrong model too, on rows that calibrated nothing: within the binomial 99 % band for all three sizes.
TEST(ConformalMetric, CoversHeldOutBlocksOfAWrongModelAsOftenAsItSays) {
  constexpr int64_t kNew = 1000;
  const auto result = measured(std::make_shared<Waves>(8000, kNew));
  const double band = 2.576 * std::sqrt(0.05 * 0.95 / kNew);
  for (const auto* size : {"1", "4", "whole"}) {
    SCOPED_TRACE(size);
    const auto& coverage = result.at(std::string("conformal_coverage_") + size);
    EXPECT_NEAR(coverage.value, 0.95, band);
    EXPECT_EQ(coverage.per_example.sizes(), Shape{kNew});
    EXPECT_DOUBLE_EQ(result.at(std::string("conformal_coverage_error_") + size).value, std::abs(coverage.value - 0.95));
  }
  EXPECT_LT(result.at("conformal_width_1").value, result.at("conformal_width_4").value);
  EXPECT_LT(result.at("conformal_width_4").value, result.at("conformal_width_whole").value);
  const auto cases = coverage_band(8000, kNew, 0.05, 0.99);
  char between[64];
  std::snprintf(between, sizeof(between), "%.4f to %.4f", cases.low, cases.high);
  EXPECT_EQ(
      result.at("conformal_coverage_4").note,
      std::string("share of blocks of 4 x 4 that lie within their intervals, 0.95 asked for, calibrated on 8,000 valid rows; "
                  "99 % of cases ") +
          between);
}

TEST(ConformalMetric, IsTheCalibratorsOwnNumbersOfTheTarget) {
  const auto waves = std::make_shared<Waves>(60, 30);
  const auto errors = [&](Split split) {
    const auto& maps = waves->maps(split);
    return (maps - WrongEnlarger::enlarged(torch::avg_pool2d(maps, 2))).abs();
  };
  BlockConformal expected({.block = 4, .alpha = 0.05});
  expected.calibrate(errors(Split::valid));
  const auto coverage = expected.coverage(errors(Split::test)).blocks;
  for (const int64_t batch_size : {7, 64}) {
    const auto result = measured(waves, Split::test, batch_size);
    expect_close(result.at("conformal_coverage_4").per_example, coverage);
    EXPECT_NEAR(result.at("conformal_width_4").value, expected.width(), 1e-6);
  }
}

TEST(ConformalMetric, OnTheValidSplitEveryOtherRowIsMeasured) {
  const auto waves = std::make_shared<Waves>(101, 5);
  const auto& maps = waves->maps(Split::valid);
  const auto errors = (maps - WrongEnlarger::enlarged(torch::avg_pool2d(maps, 2))).abs();
  BlockConformal expected({.block = 0, .alpha = 0.05});
  expected.calibrate(errors.slice(0, 0, 101, 2));
  const auto coverage = expected.coverage(errors.slice(0, 1, 101, 2)).blocks.mean().item<double>();
  for (const int64_t batch_size : {1, 3, 128}) {
    const auto result = measured(waves, Split::valid, batch_size);
    EXPECT_NEAR(result.at("conformal_coverage_whole").value, coverage, 1e-12);
    EXPECT_FALSE(result.at("conformal_coverage_whole").per_example.defined());
    EXPECT_NE(result.at("conformal_coverage_whole").note.find("calibrated on 51 of the valid rows, measured on the others"),
              std::string::npos);
  }
}

TEST(ConformalMetric, SaysWhatItLacks) {
  WrongEnlarger model;
  const auto conformal = metrics().make("conformal");
  EXPECT_EQ(fakes::message_of([&] { conformal->check({.model = model, .dataset = std::make_shared<Waves>(18, 5)}); }),
            "metric 'conformal' needs 19 rows of the valid split to calibrate on, there are 18");
  conformal->check({.model = model, .dataset = std::make_shared<Waves>(19, 5)});
  fakes::Inert inert;
  EXPECT_EQ(fakes::message_of([&] { conformal->check({.model = inert}); }),
            "metric 'conformal' needs a model that reconstructs; this model is quantized and can do nothing beyond that");
}

}  // namespace elbo::conformal_metric_test
