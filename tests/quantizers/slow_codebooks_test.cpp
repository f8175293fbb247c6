#include <torch/optim/adam.h>

#include <cmath>
#include <iostream>
#include <optional>

#include "elbo/quantizers/cvq.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/optvq.h"
#include "elbo/quantizers/sim_vq.h"
#include "elbo/quantizers/vq.h"
#include "quantizer_steps.h"

namespace elbo::slow_codebooks_test {

constexpr int64_t V = 256, D = 8, N = 512, kFresh = 8192;

/// Tokens without an encoder. Clusters: 64 centres from N(0, I), tokens 0.1 about them. Gaussian: coordinate d has standard
/// deviation 0.3 + 0.2 d. Both are shifted by `offset`, so that no code starts among them.
class Data {
 public:
  enum class Kind { clusters, gaussian };
  Data(Kind kind, double offset, uint64_t seed)
      : kind_(kind), offset_(offset), stream_(seed, "data", at::kCPU), centres_(stream_.normal({64}, {D})) {}
  Tensor draw(int64_t count) {
    const auto noise = stream_.normal({count}, {D});
    if (kind_ == Kind::gaussian) return offset_ + (0.3 + 0.2 * torch::arange(D)) * noise;
    const auto which = (stream_.uniform({count}, {}) * 64).floor().to(torch::kLong).clamp_max(63);
    return offset_ + centres_.index_select(0, which) + 0.1 * noise;
  }

 private:
  Kind kind_;
  double offset_;
  Stream stream_;
  Tensor centres_;
};

struct Outcome {
  double usage = 0;  // percent
  double perplexity = 0;
  double error = 0;  // mean squared, a number
};

Outcome outcome_of(const Tensor& indices, const Tensor& difference) {
  const auto share = torch::bincount(indices.flatten(), {}, V).to(torch::kDouble) / static_cast<double>(indices.numel());
  return {.usage = 100 * share.gt(0).to(torch::kDouble).mean().item<double>(),
          .perplexity = std::exp(-torch::xlogy(share, share).sum().item<double>()),
          .error = difference.square().mean().item<double>()};
}

void say(const std::string& name, const Outcome& outcome) {
  std::cout << name << ": usage " << outcome.usage << " %, perplexity " << outcome.perplexity << ", error " << outcome.error
            << "\n";
}

template <class Config>
using Maker = std::shared_ptr<Quantizer> (*)(const Config&, const QuantizerContext&);

/// A codebook alone, learning from tokens that stay as they are.
template <class Config>
Outcome collapse(const std::string& name, Maker<Config> maker, Config config, Data::Kind kind, int steps = 1000,
                 uint64_t seed = 1) {
  QuantizerSteps quantizer_steps(seed);
  config.codes = V;
  config.code_size = D;
  const std::shared_ptr<Quantizer> quantizer = maker(config, quantizer_steps.context());
  Data data(kind, 3, seed);
  quantizer_steps.initialise(*quantizer, data.draw(N));
  std::optional<torch::optim::Adam> adam;
  if (!quantizer->parameters().empty()) adam.emplace(quantizer->parameters(), torch::optim::AdamOptions(1e-2));
  for (int t = 0; t < steps; ++t) {
    const auto quantized = quantizer_steps.forward(*quantizer, data.draw(N));
    if (adam) {
      adam->zero_grad();
      term_of(quantized, "codebook").value.mean().backward();
      adam->step();
    }
    quantizer_steps.after_step(*quantizer);
  }
  const torch::NoGradGuard no_grad;
  const auto fresh = data.draw(kFresh);
  const auto indices = quantizer->encode(fresh);
  const auto outcome = outcome_of(indices, quantizer->decode(indices) - fresh);
  say(name + (kind == Data::Kind::clusters ? " on clusters" : " on a Gaussian"), outcome);
  return outcome;
}

constexpr auto kClusters = Data::Kind::clusters;
constexpr auto kGaussian = Data::Kind::gaussian;

TEST(SlowCodebooks, GradientsAloneCollapseFromBothStarts) {
  EXPECT_LE(collapse<VqConfig>("uniform", make_vq, {.init = CodebookInit::uniform}, kClusters).usage, 2);
  EXPECT_LE(collapse<VqConfig>("normal", make_vq, {}, kClusters).usage, 4);
  EXPECT_LE(collapse<VqConfig>("uniform", make_vq, {.init = CodebookInit::uniform}, kGaussian).usage, 2);
  EXPECT_LE(collapse<VqConfig>("normal", make_vq, {}, kGaussian).usage, 8);
}

TEST(SlowCodebooks, KMeansAtTheStartFillsTheCodebook) {
  for (const auto kind : {kClusters, kGaussian}) {
    EXPECT_GE(collapse<VqConfig>("k-means", make_vq, {.init = CodebookInit::kmeans}, kind).usage, 97);
  }
}

TEST(SlowCodebooks, RevivalFillsACodebookOfAverages) {
  const auto normal = CodebookInit::normal;
  EXPECT_LE(collapse<EmaConfig>("ema, no revival", make_ema, {.revival = 0, .init = normal}, kClusters).usage, 10);
  EXPECT_LE(collapse<EmaConfig>("ema, no revival", make_ema, {.revival = 0, .init = normal}, kGaussian).usage, 10);
  const auto clusters = collapse<EmaConfig>("ema", make_ema, {.init = normal}, kClusters);
  EXPECT_GE(clusters.usage, 98);
  EXPECT_GE(clusters.perplexity, 180);
  EXPECT_LE(clusters.error, 0.01);
  EXPECT_GE(collapse<EmaConfig>("ema", make_ema, {.init = normal}, kGaussian).usage, 98);
}

TEST(SlowCodebooks, AnchorsFillTheCodebook) {
  const auto random = collapse<CvqConfig>("cvq, random", make_cvq, {}, kClusters);
  EXPECT_GE(random.usage, 95);
  EXPECT_LE(random.error, 0.01);
  const auto probable = collapse<CvqConfig>("cvq, probabilistic", make_cvq, {.anchor = CvqAnchor::probabilistic}, kClusters);
  const auto closest = collapse<CvqConfig>("cvq, closest", make_cvq, {.anchor = CvqAnchor::closest}, kClusters);
  EXPECT_GT(random.usage, probable.usage);
  EXPECT_GT(probable.usage, closest.usage);
  for (const auto anchor : {CvqAnchor::random, CvqAnchor::probabilistic, CvqAnchor::closest}) {
    EXPECT_GE(collapse<CvqConfig>("cvq", make_cvq, {.anchor = anchor}, kGaussian).usage, 97);
  }
}

TEST(SlowCodebooks, OneMapMovesAllCodesOntoAGaussian) {
  const auto early = collapse<SimVqConfig>("sim_vq", make_sim_vq, {}, kGaussian);
  EXPECT_GE(early.usage, 25);
  EXPECT_LE(early.usage, 60);
  EXPECT_GE(collapse<SimVqConfig>("sim_vq, 4,000 steps", make_sim_vq, {}, kGaussian, 4000).usage, 95);
  EXPECT_LE(collapse<VqConfig>("uniform, 4,000 steps", make_vq, {.init = CodebookInit::uniform}, kGaussian, 4000).usage, 2);
}

TEST(SlowCodebooks, TransportUsesCodesThatTheNearestRuleForgets) {
  EXPECT_GE(collapse<OptvqConfig>("optvq", make_optvq, {}, kClusters).usage, 70);
  const OptvqConfig raw{.projection = false, .init = CodebookInit::uniform};
  const auto forgotten = collapse<OptvqConfig>("optvq, raw codes", make_optvq, raw, kClusters);
  EXPECT_GE(forgotten.usage, 15);
  EXPECT_LE(forgotten.usage, 35);
}

struct Trained {
  Outcome codes = {};
  double reconstruction = 0;  // mean squared error a number
  double relative = 0;        // of the code to the token
};

/// A linear encoder and decoder trained with the codebook.
template <class Config>
Trained train(const std::string& name, Maker<Config> maker, Config config, uint64_t seed = 1) {
  QuantizerSteps steps(seed);
  config.codes = V;
  config.code_size = D;
  const std::shared_ptr<Quantizer> quantizer = maker(config, steps.context());
  Data data(kClusters, 0, seed);
  Stream init(seed, "layers", at::kCPU);
  std::vector<Tensor> parameters = quantizer->parameters();
  const auto parameter = [&](const Tensor& value) { return parameters.emplace_back(value.clone().set_requires_grad(true)); };
  const Tensor to_code = parameter(0.35 * init.normal({D}, {D})), code_bias = parameter(torch::zeros({D}));
  const Tensor from_code = parameter(0.35 * init.normal({D}, {D})), output_bias = parameter(torch::zeros({D}));
  torch::optim::Adam adam(parameters, torch::optim::AdamOptions(3e-3));
  for (int t = 0; t < 3000; ++t) {
    const auto x = data.draw(N);
    const auto quantized = steps.forward(*quantizer, torch::linear(x, to_code, code_bias));
    const auto loss = (torch::linear(quantized.value, from_code, output_bias) - x).square().sum() + weighted_loss(quantized);
    adam.zero_grad();
    (loss / static_cast<double>(N * D)).backward();
    adam.step();
    steps.after_step(*quantizer);
  }
  const torch::NoGradGuard no_grad;
  const auto fresh = data.draw(kFresh);
  const auto z = torch::linear(fresh, to_code, code_bias);
  const auto indices = quantizer->encode(z);
  const auto value = quantizer->decode(indices);
  const Trained trained{.codes = outcome_of(indices, value - z),
                        .reconstruction = (torch::linear(value, from_code, output_bias) - fresh).square().mean().item<double>(),
                        .relative = ((value - z).square().sum() / z.square().sum()).item<double>()};
  say(name, trained.codes);
  std::cout << "  reconstruction " << trained.reconstruction << ", relative " << trained.relative << "\n";
  return trained;
}

TEST(SlowCodebooks, TheRotationRescuesABadStart) {
  const VqConfig straight{.init = CodebookInit::uniform};
  const VqConfig rotated{.gradient = GradientEstimator::rotation, .init = CodebookInit::uniform};
  EXPECT_LT(train<VqConfig>("rotation", make_vq, rotated).reconstruction, 0.05);
  EXPECT_GT(train<VqConfig>("straight-through", make_vq, straight).reconstruction, 0.1);
}

TEST(SlowCodebooks, RevivalFillsTheCodebookOfATrainedEncoder) {
  const auto trained = train<EmaConfig>("ema", make_ema, {.init = CodebookInit::normal});
  EXPECT_GE(trained.codes.usage, 98);
  EXPECT_LT(trained.reconstruction, 0.02);
}

}  // namespace elbo::slow_codebooks_test
