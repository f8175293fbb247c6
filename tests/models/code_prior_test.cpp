#include "elbo/models/code_prior.h"

#include "elbo/code_priors/transformer.h"
#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_conv.h"
#include "elbo/quantizers/vq.h"
#include "support/tensors.h"

using namespace elbo;

namespace code_prior_model_test {

const DataSpec kSpec = {{"x", {.shape = {1, 4, 4}, .kind = ValueKind::binary}},
                        {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}}};

std::shared_ptr<Model> base_of(Stream& init) {
  VqVaeConfig config;
  const ResidualConvConfig network{.channels = {4}, .residual_blocks = 0};
  config.encoder.set("residual_conv", network);
  config.decoder.set("residual_conv", network);
  config.quantizer.set("vq", VqConfig{.codes = 7, .code_size = 3});
  const auto base = make_vq_vae(config, {.spec = kSpec, .init = init});
  base->eval();
  for (auto& parameter : base->parameters()) parameter.requires_grad_(false);
  return base;
}

std::shared_ptr<CodePriorModel> model_of(std::optional<std::string> condition = "label") {
  Stream init(1, "init", at::kCPU);
  const auto base = base_of(init);
  CodePriorModelConfig config{.condition = std::move(condition)};
  config.prior.set("transformer", TransformerPriorConfig{.width = 8, .layers = 1, .heads = 2});
  return std::make_shared<CodePriorModel>(config, ModelContext{.spec = kSpec, .init = init, .base = base});
}

Batch rows() {
  auto batch = rows_without_fields(3);
  batch.fields["x"].value = wavy({3, 1, 4, 4}).to(torch::kFloat);
  batch.fields["label"].value = torch::tensor({2, 0, 1});
  return batch;
}

TEST(CodePriorModel, TrainingLeavesTheBaseInEvaluationMode) {
  const auto model = model_of();
  model->eval();
  model->train();
  EXPECT_TRUE(model->is_training() && model->prior(0).is_training());
  for (const auto& module : model->base().modules()) EXPECT_FALSE(module->is_training());
}

TEST(CodePriorModel, AMissingClassIsOneThatIsNotTold) {
  const auto model = model_of();
  auto batch = rows();
  expect_equal(model->labels(batch), torch::tensor({2, 0, 1}));
  batch.fields["label"].present = torch::tensor({true, false, true});
  expect_equal(model->labels(batch), torch::tensor({2, -1, 1}));
  batch.fields.erase("label");
  EXPECT_FALSE(model->labels(batch).defined());
  EXPECT_FALSE(model_of(std::nullopt)->labels(rows()).defined());
}

TEST(CodePriorModel, ReadsCodesWhereTheyAreAndElseEncodes) {
  const auto model = model_of();
  auto batch = rows();
  const auto codes = model->codes(batch);
  ASSERT_EQ(codes.size(), 1U);
  EXPECT_EQ(codes[0].sizes(), (Shape{3, 2, 2, 1}));
  expect_equal(codes[0], dynamic_cast<Quantized&>(model->base()).codes(batch)[0]);
  batch.fields["codes"].value = torch::full({3, 2, 2, 1}, 5);
  expect_equal(model->codes(batch)[0], batch.at("codes"));
  expect_equal(model->decode_codes(codes), model->reconstruct(rows()));
}

TEST(CodePriorModel, TrainsThePriorAndNotTheBase) {
  const auto model = model_of();
  Streams streams(1, at::kCPU);
  Collective alone;
  Step step{.noise = streams.noise, .streams = streams, .collective = alone};
  model->losses(rows(), step).at(0).value.sum().backward();
  for (const auto& item : model->named_parameters()) {
    const bool of_base = item.key().starts_with("base.");
    EXPECT_EQ(item.value().requires_grad(), !of_base) << item.key();
    EXPECT_EQ(item.value().grad().defined(), !of_base) << item.key();
  }
}

TEST(CodePriorModel, CodesCostWhatThePriorSays) {
  const auto model = model_of();
  const auto batch = rows();
  const auto codes = model->codes(batch);
  Stream noise(1, "noise", at::kCPU);
  auto& prior = dynamic_cast<AutoregressiveCodePrior&>(model->prior(0));
  const torch::NoGradGuard no_grad;
  expect_equal(model->code_length(codes, batch, noise), -prior.log_prob(codes[0], {.label = batch.at("label")}));
}

}  // namespace code_prior_model_test
