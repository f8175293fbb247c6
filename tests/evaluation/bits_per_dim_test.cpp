#include "elbo/evaluation/bits_per_dim.h"

#include <gmock/gmock.h>

#include "elbo/distributions/bernoulli.h"
#include "elbo/distributions/categorical.h"
#include "elbo/distributions/normal.h"
#include "fakes.h"
#include "support/tensors.h"

using namespace elbo;

namespace bits_per_dim_test {

TEST(BitsPerDim, OfTheUniformModelAreEightInAllThreeForms) {
  constexpr int64_t kDims = 3 * 32 * 32;
  const auto nats = [](double value) { return torch::full({2}, value, torch::kDouble); };
  expect_close(bits_per_dim(nats(0), kDims, PixelProbability::density, 256), 8, 1e-15);
  expect_close(bits_per_dim(nats(kDims * std::log(2.0)), kDims, PixelProbability::symmetric_density, 256), 8, 1e-14);
  expect_close(bits_per_dim(nats(kDims * std::log(256.0)), kDims, PixelProbability::mass, 256), 8, 1e-14);
  expect_close(bits_per_dim(nats(0), 64, PixelProbability::density, 17), std::log2(17.0), 1e-15);
  EXPECT_THROW(bits_per_dim(nats(0), 0, PixelProbability::mass, 256), UsageError);
  EXPECT_THROW(bits_per_dim(nats(0), 5, PixelProbability::mass, 1), UsageError);
}

/// x in [0, 1] of 2 x 3 grey levels, or of 0 and 1.
class Grey final : public Dataset {
 public:
  explicit Grey(FieldSpec field) : spec_{{"x", std::move(field)}} {}
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return 5; }
  int64_t batch_size() const override { return 2; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream&) const override {
    return {.fields = {{"x", {.value = torch::ones({index.size(0), 2, 3})}}}, .index = index};
  }
  std::string fingerprint() const override { return ""; }
  Tensor training_mean() const override { return {}; }

 private:
  DataSpec spec_;
};

/// q = p, and p(x | z) is the same whatever z is: the bound is the likelihood.
class Fixed final : public Model, public Variational {
 public:
  explicit Fixed(std::function<DistributionPtr(const Shape&)> likelihood) : likelihood_(std::move(likelihood)) {}
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "fixed"; }
  Latents infer(const Batch& batch, int64_t K, Noise& noise) override {
    const auto q = std::make_shared<Normal>(torch::zeros({batch.size(), 1}), torch::zeros({batch.size(), 1}));
    return {.layers = {{.q = q, .p = q, .z = q->sample({K, batch.size()}, noise)}}};
  }
  Latents prior(const Batch&, int64_t, Noise&) override { return {}; }
  std::vector<Observation> decode(const Latents& latents, const Batch& batch) override {
    return {{.likelihood = likelihood_({latents.layers[0].z.size(0), batch.size(), 2, 3}), .target = batch.at("x")}};
  }
  std::vector<Tensor> inference_parameters() override { return {}; }

 private:
  std::function<DistributionPtr(const Shape&)> likelihood_;
};

std::vector<Measurement> measured(Fixed& model, const FieldSpec& field, int64_t samples = 3) {
  const EvaluationContext context{.model = model, .dataset = std::make_shared<Grey>(field), .samples = samples, .batch_size = 2};
  const auto metric = metrics().make("bits_per_dim");
  metric->check(context);
  return metric->evaluate(context);
}

const FieldSpec kGrey = {.shape = {2, 3}, .kind = ValueKind::unit, .levels = 256};
const FieldSpec kBinary = {.shape = {2, 3}, .kind = ValueKind::binary};

TEST(BitsPerDim, AddTheGreyLevelsOfADensity) {
  Fixed model([](const Shape& shape) { return Normal::with_scale(torch::zeros(shape), 1, 2); });
  const auto result = measured(model, kGrey);
  const double expected = (0.5 + 0.5 * std::log(2 * M_PI)) / std::log(2.0) + 8;  // at x = 1
  ASSERT_EQ(result.size(), 2u);
  EXPECT_EQ(result[0].key(), "elbo_bits_per_dim");
  EXPECT_EQ(result[1].key(), "log_likelihood_bits_per_dim");
  EXPECT_EQ(result[1].error_key(), "log_likelihood_standard_error_bits_per_dim");
  for (const auto& bits : result) expect_close(bits.per_example, torch::full({5}, expected, torch::kDouble), 1e-6);
  EXPECT_EQ(
      result[0].note,
      "of the one-sample bound; a density on [0, 1] of 6 dimensions of 256 grey levels, log2 256 = 8 bits added; it bounds the "
      "bits of the grey levels only where the data are dequantised");
  EXPECT_TRUE(result[1].note.starts_with("of the likelihood by 3 importance samples; "));
  EXPECT_EQ(measured(model, kGrey, 1).size(), 1u);
}

TEST(BitsPerDim, AddNothingToProbabilities) {
  Fixed model([](const Shape& shape) { return std::make_shared<Bernoulli>(torch::zeros(shape), 2); });
  const auto result = measured(model, kBinary);
  EXPECT_NEAR(result[0].value, 1, 1e-6);  // a fair coin a pixel
  EXPECT_NEAR(result[1].value, 1, 1e-6);
  EXPECT_EQ(result[0].note, "of the one-sample bound; probabilities of 6 dimensions of 2 values, nothing added");
}

TEST(BitsPerDim, RefuseWhatHasNoScale) {
  Fixed normal([](const Shape& shape) { return Normal::with_scale(torch::zeros(shape), 1, 2); });
  Fixed bernoulli([](const Shape& shape) { return std::make_shared<Bernoulli>(torch::zeros(shape), 2); });
  const FieldSpec real = {.shape = {2, 3}, .kind = ValueKind::real};
  EXPECT_THAT(fakes::message_of([&] { measured(normal, real); }), ::testing::HasSubstr("needs data of known grey levels"));
  EXPECT_THAT(fakes::message_of([&] { measured(bernoulli, kGrey); }), ::testing::HasSubstr("is no likelihood and has no bits"));
  EXPECT_THAT(fakes::message_of([&] { measured(normal, kBinary); }), ::testing::HasSubstr("has no bits of its own"));
}

}  // namespace bits_per_dim_test
