#include "elbo/math/precision.h"

#include <ATen/Context.h>

#include "elbo/models/vae.h"
#include "elbo/objectives/elbo.h"
#include "training/fakes.h"

using namespace elbo;

namespace precision_test {
using namespace elbo::fakes;
namespace {

/// 64 rows of 12 bits that follow two hidden causes.
class Bits final : public Dataset {
 public:
  Bits() {
    Stream stream(5, "bits", at::kCPU);
    const auto causes = stream.normal({64}, {2}), loadings = 2 * stream.normal({2}, {12});
    x_ = (torch::matmul(causes, loadings) > 0).to(torch::kFloat);
  }
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return x_.size(0); }
  int64_t batch_size() const override { return 32; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream&) const override {
    return {.fields = {{"x", {.value = x_.index_select(0, index)}}}, .index = index};
  }
  std::string fingerprint() const override { return "bits"; }
  Tensor training_mean() const override { return x_.mean(0); }

 private:
  DataSpec spec_ = {{"x", {.shape = {12}, .kind = ValueKind::binary}}};
  Tensor x_;
};

struct Seen {
  std::vector<double> losses;
  Tensor parameters;
};

/// Losses of 60 steps of a VAE.
Seen train(Precision precision, std::vector<at::ScalarType>* types = nullptr) {
  const auto dataset = std::make_shared<Bits>();
  Stream init(1, "init", at::kCPU);
  const auto model =
      make_vae({.latent_size = 2}, {.spec = dataset->spec(), .init = init, .training_mean = dataset->training_mean()});
  auto objective = make_elbo({}, dynamic_cast<Variational&>(*model), {});
  class Log final : public Hook {
   public:
    void on_values(const TrainingState&, std::string_view, const NamedValues& values) override {
      for (const auto& [name, value] : values) {
        if (name == "loss") losses.push_back(value);
      }
    }
    std::vector<double> losses;
  };
  const auto log = std::make_shared<Log>();
  OptimizerChoice optimizer{optimizers, "adam"};
  TrainingConfig config;
  config.steps = 60;
  config.log_every_steps = 1;
  config.precision = precision;
  Trainer trainer({.model = model,
                   .objective = objective,
                   .loader = std::make_shared<Loader>(dataset, 32, 3, ShortBatch::keep),
                   .optimizer = optimizer,
                   .config = config,
                   .seed = 3,
                   .hooks = {log}});
  trainer.run();
  if (types) {
    for (const auto& parameter : model->parameters()) types->push_back(parameter.scalar_type());
    const torch::NoGradGuard no_grad;
    const Bfloat16Scope lower(at::kCPU);
    Stream noise(2, "noise", at::kCPU);
    auto& variational = dynamic_cast<Variational&>(*model);
    const auto batch = dataset->gather(Split::train, torch::arange(4), noise);
    const auto latents = variational.infer(batch, 1, noise);
    types->push_back(latents.layers[0].z.scalar_type());
    types->push_back(log_likelihood(variational.decode(latents, batch)).scalar_type());
  }
  return {log->losses, trainer.buffers().parameters().clone()};
}

TEST(Tf32Scope, SaysWhetherCudaMayRoundAndRestoresWhatWas) {
  auto& context = at::globalContext();
  const auto rounds = [&] { return std::pair(context.allowTF32CuBLAS(), context.allowTF32CuDNN()); };
  const auto before = rounds();
  const at::Device cuda(at::kCUDA, 0);
  {
    const Tf32Scope outer(cuda, Tf32Scope::Rounding::allowed);
    EXPECT_EQ(rounds(), std::pair(true, true));
    {
      const Tf32Scope inner(cuda, Tf32Scope::Rounding::forbidden);
      EXPECT_EQ(rounds(), std::pair(false, false));
      const Tf32Scope elsewhere(at::kCPU, Tf32Scope::Rounding::allowed);
      EXPECT_EQ(rounds(), std::pair(false, false));
    }
    EXPECT_EQ(rounds(), std::pair(true, true));
  }
  EXPECT_EQ(rounds(), before);
}

TEST(FullPrecisionScope, KeepsAutocastAndTf32Out) {
  const at::Device cuda(at::kCUDA, 0);
  const Tf32Scope allowed(cuda, Tf32Scope::Rounding::allowed);
  const Bfloat16Scope lower(at::kCPU);
  const auto type_of_product = [] { return torch::mm(torch::ones({2, 2}), torch::ones({2, 2})).scalar_type(); };
  {
    const FullPrecisionScope precise(cuda);
    EXPECT_FALSE(at::globalContext().allowTF32CuBLAS());
    EXPECT_FALSE(at::globalContext().allowTF32CuDNN());
    EXPECT_EQ(type_of_product(), torch::kFloat);
  }
  EXPECT_TRUE(at::globalContext().allowTF32CuBLAS());
  EXPECT_TRUE(at::globalContext().allowTF32CuDNN());
  EXPECT_EQ(type_of_product(), torch::kBFloat16);
}

}  // namespace

TEST(Precision, Bfloat16FollowsTheLossesOfFloat32) {
  std::vector<at::ScalarType> types;
  const auto full = train(Precision::float32), lower = train(Precision::bfloat16, &types);
  ASSERT_EQ(full.losses.size(), 60u);
  double farthest = 0;
  for (size_t i = 0; i < 60; ++i) farthest = std::max(farthest, std::abs(lower.losses[i] / full.losses[i] - 1));
  EXPECT_LT(farthest, 0.02);
  EXPECT_GT(farthest, 1e-6) << "nothing was computed in bfloat16";
  EXPECT_LT(lower.losses.back(), 0.9 * lower.losses.front());
  EXPECT_FALSE(torch::equal(full.parameters, lower.parameters));
  for (const auto type : types) EXPECT_EQ(type, torch::kFloat) << "parameters, latents and log-likelihoods";
}

TEST(Precision, TheScopeEndsAndForgetsWeightsThatItCast) {
  auto weight = torch::ones({4, 4}).set_requires_grad(true);
  const auto x = torch::ones({1, 4});
  {
    const Bfloat16Scope lower(at::kCPU);
    EXPECT_EQ(torch::matmul(x, weight).scalar_type(), torch::kBFloat16);
    EXPECT_EQ(full_precision(torch::matmul(x, weight)).scalar_type(), torch::kFloat);
  }
  EXPECT_EQ(torch::matmul(x, weight).scalar_type(), torch::kFloat);
  weight.data().fill_(2);  // as the flat update: autograd doesn't see it
  const Bfloat16Scope lower(at::kCPU);
  EXPECT_EQ(torch::matmul(x, weight).to(torch::kFloat)[0][0].item<float>(), 8);
  EXPECT_EQ(full_precision(torch::ones({}, torch::kDouble)).scalar_type(), torch::kDouble);
}

TEST(Precision, EvaluationIsInFloat32UnlessAskedOtherwise) {
  for (const auto precision : {Precision::float32, Precision::bfloat16}) {
    Kit kit;
    kit.config.precision = Precision::bfloat16;
    kit.config.evaluation_precision = precision;
    at::ScalarType seen = torch::kDouble;
    kit.hooks = {evaluating([&](const TrainingState&) {
      seen = torch::matmul(torch::ones({1, 3}), kit.model->encoder).scalar_type();
      return NamedValues{{"valid/bound", 1}};
    })};
    Trainer(kit.parts()).run();
    EXPECT_EQ(seen, precision == Precision::float32 ? torch::kFloat : torch::kBFloat16);
  }
}

}  // namespace precision_test
