// A variational autoencoder in plain C++: data, model, objective, training, numbers and a picture, without a YAML file.
#include <elbo/elbo.h>

#include <iostream>

int main() {
  constexpr uint64_t kSeed = 1;
  constexpr int64_t kBatch = 64;

  const auto data = elbo::make_digits({.options = {.binarize = elbo::Binarize::threshold}}, {.seed = kSeed});
  data->load(at::kCPU);

  elbo::VaeConfig config;
  config.latent_size = 8;
  config.encoder.set("mlp", elbo::MlpConfig{.hidden = {128}, .activation = elbo::Activation::relu});
  config.decoder.set("mlp", elbo::MlpConfig{.hidden = {128}, .activation = elbo::Activation::relu});
  elbo::Stream init(kSeed, "init", at::kCPU);
  const auto model = std::make_shared<elbo::Vae>(config, elbo::ModelContext{.spec = data->spec(), .init = init});
  const auto objective = elbo::make_elbo({}, *model, {});

  elbo::TrainingParts parts{.model = model, .objective = objective, .seed = kSeed};
  parts.loader = std::make_shared<elbo::Loader>(data, kBatch, kSeed, elbo::ShortBatch::keep);
  parts.optimizer.set("adam", elbo::AdamConfig{.learning_rate = elbo::scheduled_number(2e-3)});
  parts.config.epochs = 20;
  elbo::Trainer trainer(std::move(parts));
  trainer.run();

  const auto result = elbo::evaluate({.model = *model, .objective = objective.get(), .dataset = data, .samples = 100},
                                     {"elbo", "log_likelihood", "active_units"});
  std::cout << elbo::to_text(result);

  elbo::Stream noise(kSeed, "sample", at::kCPU);
  const auto pictures = model->sample(elbo::rows_without_fields(64), /*temperature=*/1, noise);
  elbo::write_png("samples.png", *elbo::sample_grid(pictures.detach()));
}
