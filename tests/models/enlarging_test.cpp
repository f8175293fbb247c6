#include "elbo/models/vq_vae.h"
#include "elbo/nn/residual_attention.h"
#include "elbo/quantizers/soft_ema.h"
#include "quantizers/quantizer_steps.h"

// Codes of a coarse map that give back a fine one: model vq_vae with `target`.
namespace elbo::enlarging_test {

std::shared_ptr<VqVae> enlarger(const DataSpec& spec) {
  const ResidualAttentionConfig network{.channels = {4, 6}, .blocks = 1, .kernel = 5};
  VqVaeConfig config{.target = "target"};
  config.encoder.set("residual_attention", network);
  config.decoder.set("residual_attention", network);
  config.quantizer.set("soft_ema", SoftEmaConfig{.codes = 8, .code_size = 3});
  Stream init(1, "init", at::kCPU);
  return std::make_shared<VqVae>(config, ModelContext{.spec = spec, .init = init});
}

TEST(Enlarging, CodesOfOneFieldGiveAnotherBack) {
  const DataSpec spec = {{"x", {.shape = {1, 8, 8}, .kind = ValueKind::binary}},
                         {"target", {.shape = {1, 16, 16}, .kind = ValueKind::binary}}};
  const auto model = enlarger(spec);
  EXPECT_EQ(model->reconstructed_field(), "target");
  EXPECT_EQ(model->grid(), (Shape{8, 8}));
  const auto x = wavy({3, 1, 8, 8}).gt(0).to(torch::kFloat), target = wavy({3, 1, 16, 16}).gt(0.2).to(torch::kFloat);
  const Batch batch{.fields = {{"x", {.value = x}}, {"target", {.value = target}}}, .index = torch::arange(3)};
  model->eval();
  EXPECT_EQ(model->reconstruct(batch).sizes(), (Shape{3, 1, 16, 16}));
  const auto observed = model->decode({model->quantizers()[0]->decode(model->codes(batch)[0])}, batch);
  expect_equal(observed[0].target, target);
  expect_equal(observed[0].likelihood->mean(), model->reconstruct(batch));
  // What is read is x alone.
  const Batch alone{.fields = {{"x", {.value = x}}}, .index = torch::arange(3)};
  expect_equal(model->reconstruct(alone), model->reconstruct(batch));
}

}  // namespace elbo::enlarging_test
