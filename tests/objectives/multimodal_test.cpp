#include <gtest/gtest.h>

#include "elbo/aggregators/joint.h"
#include "elbo/aggregators/mopoe.h"
#include "elbo/aggregators/poe.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"
#include "elbo/models/multimodal_vae.h"
#include "elbo/models/vae.h"
#include "elbo/objectives/elbo.h"
#include "elbo/objectives/iwae.h"
#include "support/linear_bed.h"

namespace elbo::multimodal_test {

const DataSpec kSpec = {{"x", {.shape = {1, 4, 4}, .kind = ValueKind::binary}},
                        {"label", {.shape = {}, .kind = ValueKind::category, .num_classes = 3}},
                        {"v", {.shape = {5}, .kind = ValueKind::real}}};
constexpr int64_t kB = 6;

Batch batch_of_three() {
  return {.fields = {{"x", {.value = wavy({kB, 1, 4, 4}).gt(0).to(torch::kFloat)}},
                     {"label", {.value = torch::arange(kB).remainder(3)}},
                     {"v", {.value = wavy({kB, 5}, 2).to(torch::kFloat)}}},
          .index = torch::arange(kB)};
}

std::shared_ptr<MultimodalVae> build(const std::string& yaml, uint64_t seed = 3) {
  MultimodalVaeConfig config;
  config = read_config<MultimodalVaeConfig>(parse_yaml(yaml, "model"));
  Stream init(seed, "init", at::kCPU);
  auto model = std::make_shared<MultimodalVae>(config, ModelContext{.spec = kSpec, .init = init});
  return model;
}
std::string three(const std::string& rest) {
  return "{latent_size: 4, modalities: {x: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}}, "
         "label: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: categorical}}, "
         "v: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: normal}}}, " +
         rest + "}";
}
const std::vector<std::string> kAggregations = {"{type: poe}",
                                                "{type: poe, prior_expert: none}",
                                                "{type: moe}",
                                                "{type: mopoe}",
                                                "{type: mopoe, prior_expert: none, subsets: [[x, v], [label], [v]]}",
                                                "{type: mopoe, draw: one}",
                                                "{type: joint}",
                                                "{type: unimodal, modality: v}"};

struct Number {
  std::string name;
  std::function<std::shared_ptr<Objective>(Variational&)> make;
};
std::vector<Number> bounds() {
  return {{"elbo", [](Variational& model) { return make_elbo({.samples = 2}, model, {}); }},
          {"iwae", [](Variational& model) { return make_iwae({.samples = 2}, model, {}); }},
          {"looser dreg", [](Variational& model) {
             return make_iwae({.samples = 2, .estimator = PathwiseEstimator::dreg, .mixture = Strata::apart}, model, {});
           }}};
}
Tensor loss_of(Variational& model, const Number& bound, const Batch& batch) {
  Stream noise(5, "noise", at::kCPU);
  Streams streams(1, at::kCPU);
  Collective collective;
  Step step{.noise = noise, .streams = streams, .collective = collective};
  return bound.make(model)->losses(batch, step).loss;
}

TEST(MultimodalVae, OfOneModalityIsThePlainVaeUnderAnyAggregation) {
  Stream init(3, "init", at::kCPU);
  Vae vae({.latent_size = 4}, ModelContext{.spec = kSpec, .init = init});
  const auto batch = batch_of_three();
  for (const std::string aggregation : {"{type: poe, prior_expert: none}", "{type: moe}", "{type: mopoe, prior_expert: none}",
                                        "{type: unimodal}", "{type: joint, unimodal_encoders: false}"}) {
    const auto model = build("{latent_size: 4, modalities: {x: {}}, aggregation: " + aggregation + "}");
    {
      const torch::NoGradGuard no_grad;
      for (const auto& item : vae.named_parameters()) {
        auto path = item.key();
        path.insert(path.find('.'), ".x");
        if (aggregation.find("joint") != std::string::npos && path.starts_with("encoder")) path = "joint_" + path;
        if (aggregation.find("joint") != std::string::npos && path.starts_with("posterior")) path = "joint_" + item.key();
        auto* mine = model->named_parameters().find(path);
        ASSERT_TRUE(mine) << path;
        mine->copy_(item.value());
      }
    }
    for (const auto& bound : bounds()) {
      SCOPED_TRACE(aggregation + ", " + bound.name);
      expect_close(loss_of(*model, bound, batch), loss_of(vae, bound, batch), 1e-6);
    }
  }
}

TEST(MultimodalVae, MopoeOverSinglesIsMoeAndOverTheFullSetPoe) {
  const auto batch = batch_of_three();
  for (const auto& bound : bounds()) {
    SCOPED_TRACE(bound.name);
    const auto loss = [&](const std::string& aggregation) {
      return loss_of(*build(three("aggregation: " + aggregation)), bound, batch);
    };
    expect_equal(loss("{type: mopoe, subsets: singles}"), loss("{type: moe}"));
    expect_equal(loss("{type: mopoe, subsets: full}"), loss("{type: poe}"));
  }
}

TEST(MultimodalVae, OneDrawARowHasTheBoundOfAllDrawsOnAverage) {
  constexpr int64_t kCopies = 40'000;
  auto batch = batch_of_three();
  for (auto& [name, field] : batch.fields) {
    field.value = field.value.narrow(0, 0, 1).expand(joined({kCopies}, field.value.sizes().slice(1)));
  }
  batch.index = torch::arange(kCopies);
  const auto bound = bounds().front();
  const auto every = build(three("aggregation: {type: mopoe}")), one = build(three("aggregation: {type: mopoe, draw: one}"));
  Stream noise(5, "noise", at::kCPU);
  EXPECT_EQ(every->infer(batch, 2, noise).layers.front().z.sizes(), Shape({7, 2, kCopies, 4}));
  EXPECT_EQ(one->infer(batch, 2, noise).layers.front().z.sizes(), Shape({2, kCopies, 4}));
  const auto of_one = loss_of(*one, bound, batch);
  const double standard_error = of_one.std().item<double>() / std::sqrt(static_cast<double>(kCopies));
  EXPECT_GT(standard_error, 1e-4);
  EXPECT_NEAR(of_one.mean().item<double>(), loss_of(*every, bound, batch).mean().item<double>(), 5 * standard_error);
}

/// Numbers of the strata in the opposite order.
class Reversed final : public Noise {
 public:
  Tensor normal(at::IntArrayRef leading, at::IntArrayRef event) override { return stream_.normal(leading, event).flip(0); }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override { return stream_.uniform(leading, event).flip(0); }

 private:
  Stream stream_{5, "noise", at::kCPU};
};

TEST(MultimodalVae, OrderOfTheModalitiesChangesNothing) {
  // In a file it can't matter: they are sorted. Their names can: a and b change places, and their strata with them.
  const std::string x = "{field: x, encoder: {type: mlp, hidden: []}}",
                    v = "{field: v, likelihood: {type: normal}, encoder: {type: mlp, hidden: []}}";
  EXPECT_EQ(build("{modalities: {b: " + v + ", a: " + x + "}}")->modalities(),
            build("{modalities: {a: " + x + ", b: " + v + "}}")->modalities());
  for (const std::string aggregation : {"{type: moe}", "{type: poe}"}) {
    const auto one = build("{modalities: {a: " + x + ", b: " + v + "}, aggregation: " + aggregation + "}");
    const auto two = build("{modalities: {b: " + x + ", a: " + v + "}, aggregation: " + aggregation + "}");
    {
      const torch::NoGradGuard no_grad;
      for (const auto& item : one->named_parameters()) {
        auto path = item.key();
        if (const auto place = path.find(".a."); place != std::string::npos) {
          path[place + 1] = 'b';
        } else if (const auto other = path.find(".b."); other != std::string::npos) {
          path[other + 1] = 'a';
        }
        (*two->named_parameters().find(path)).copy_(item.value());
      }
    }
    Stream plain(5, "noise", at::kCPU);
    Reversed reversed;
    Noise& other = aggregation == "{type: moe}" ? static_cast<Noise&>(reversed) : static_cast<Noise&>(plain);
    const auto batch = batch_of_three();
    const auto bound = [&](MultimodalVae& model, Noise& noise) {
      Streams streams(1, at::kCPU);
      Collective collective;
      Step step{.noise = noise, .streams = streams, .collective = collective};
      return make_elbo({}, model, {})->losses(batch, step).loss;
    };
    Stream first(5, "noise", at::kCPU);
    expect_close(bound(*two, other), bound(*one, first), 1e-6);
  }
}

/// Row 1 lacks x, rows 2 and 3 lack label, row 3 lacks x too, row 4 v.
Batch with_gaps(double filling) {
  auto batch = batch_of_three();
  batch.fields["x"].present = torch::tensor({1, 0, 1, 0, 1, 1}).to(torch::kBool);
  batch.fields["label"].present = torch::tensor({1, 1, 0, 0, 1, 1}).to(torch::kBool);
  batch.fields["v"].present = torch::tensor({1, 1, 1, 1, 0, 1}).to(torch::kBool);
  batch.fields["x"].value = torch::where(batch.fields["x"].present.view({-1, 1, 1, 1}), batch.at("x"), filling);
  batch.fields["v"].value = torch::where(batch.fields["v"].present.view({-1, 1}), batch.at("v"), filling);
  batch.fields["label"].value = torch::where(batch.fields["label"].present, batch.at("label"), std::isnan(filling) ? 2 : 0);
  return batch;
}

TEST(MultimodalVae, WhatStandsInAMissingModalityReachesNothing) {
  for (const auto& aggregation : kAggregations) {
    if (aggregation.find("joint") != std::string::npos || aggregation.find("unimodal") != std::string::npos) continue;
    for (const auto& bound : bounds()) {
      SCOPED_TRACE(aggregation + ", " + bound.name);
      std::vector<std::shared_ptr<MultimodalVae>> models;
      std::vector<Tensor> losses;
      for (const double filling : {0.0, std::nan(""), 1e30}) {
        models.push_back(build(three("aggregation: " + aggregation)));
        losses.push_back(loss_of(*models.back(), bound, with_gaps(filling)));
        losses.back().sum().backward();
      }
      expect_finite(losses[0]);
      for (size_t i = 1; i < losses.size(); ++i) {
        expect_equal(losses[i], losses[0]);
        const auto here = models[i]->named_parameters(), there = models[0]->named_parameters();
        for (const auto& item : there) {
          SCOPED_TRACE(item.key());
          ASSERT_EQ(here[item.key()].grad().defined(), item.value().grad().defined());
          if (!item.value().grad().defined()) continue;
          expect_finite(item.value().grad());
          expect_equal(here[item.key()].grad(), item.value().grad());
        }
      }
    }
  }
}

TEST(MultimodalVae, ARowWithoutAModalityGivesItsNetworksNoGradient) {
  for (const std::string aggregation : {"{type: poe}", "{type: moe}", "{type: mopoe}"}) {
    for (const auto& bound : bounds()) {
      SCOPED_TRACE(aggregation + ", " + bound.name);
      const auto model = build(three("aggregation: " + aggregation));
      loss_of(*model, bound, with_gaps(0))[1].backward();  // lacks x
      for (const auto& item : model->named_parameters()) {
        SCOPED_TRACE(item.key());
        const auto& gradient = item.value().grad();
        const bool of_x = item.key().find(".x.") != std::string::npos;
        if (of_x && gradient.defined()) expect_equal(gradient, torch::zeros_like(gradient));
        if (!of_x) {
          ASSERT_TRUE(gradient.defined());
          EXPECT_TRUE(gradient.ne(0).any().item<bool>());
        }
      }
    }
  }
}

/// The loss of a row that lacks a modality is that of the model without it.
TEST(MultimodalVae, AMaskedLossIsThatOfTheModelWithoutTheModality) {
  for (const std::string aggregation : {"{type: poe}", "{type: poe, prior_expert: none}"}) {
    const auto whole = build(three("aggregation: " + aggregation));
    auto batch = batch_of_three();
    batch.fields["label"].present = torch::zeros({kB}, torch::kBool);
    const auto less = build(
        "{latent_size: 4, modalities: {x: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}}, "
        "v: {encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: normal}}}, "
        "aggregation: " +
        aggregation + "}");
    {
      const torch::NoGradGuard no_grad;
      for (auto& item : less->named_parameters()) item.value().copy_(*whole->named_parameters().find(item.key()));
    }
    for (const auto& bound : bounds()) {
      SCOPED_TRACE(aggregation + ", " + bound.name);
      expect_close(loss_of(*whole, bound, batch), loss_of(*less, bound, batch), 1e-5);
    }
  }
}

TEST(MultimodalVae, PresentEverywhereIsTheUnmaskedPath) {
  auto masked = batch_of_three();
  for (auto& [name, field] : masked.fields) field.present = torch::ones({kB}, torch::kBool);
  for (const auto& aggregation : kAggregations) {
    for (const auto& bound : bounds()) {
      SCOPED_TRACE(aggregation + ", " + bound.name);
      const auto model = build(three("aggregation: " + aggregation));
      expect_close(loss_of(*model, bound, masked), loss_of(*model, bound, batch_of_three()), 1e-6);
    }
  }
}

TEST(MultimodalVae, ARowWithNothingHasTheBoundZeroAndNoNan) {
  for (const std::string aggregation : {"{type: poe, prior_expert: none}", "{type: moe}", "{type: mopoe}"}) {
    auto batch = batch_of_three();
    for (auto& [name, field] : batch.fields) field.present = torch::tensor({1, 0, 1, 1, 1, 1}).to(torch::kBool);
    const auto model = build(three("aggregation: " + aggregation));
    const auto loss = loss_of(*model, bounds()[0], batch);
    EXPECT_NEAR(loss[1].item<double>(), 0, 1e-6) << aggregation;
    loss.sum().backward();
    for (const auto& parameter : model->parameters()) {
      if (parameter.grad().defined()) expect_finite(parameter.grad());
    }
  }
}

TEST(MultimodalVae, WeightsAreOfTrainingAloneAndNeverReported) {
  const auto plain = build(three("aggregation: {type: poe}"));
  const auto weighted = build(
      "{latent_size: 4, modalities: {x: {weight: 3, encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}}, "
      "label: {weight: auto, encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: "
      "categorical}}, "
      "v: {weight: auto, encoder: {type: mlp, hidden: [8]}, decoder: {type: mlp, hidden: [8]}, likelihood: {type: normal}}}, "
      "aggregation: {type: poe}}");
  const auto batch = batch_of_three();
  Stream noise(1, "noise", at::kCPU);
  const auto observations = weighted->decode(weighted->infer(batch, 1, noise), batch);
  std::map<std::string, double> weight;
  for (const auto& o : observations) weight[o.name] = o.weight;
  EXPECT_EQ(weight["x"], 3);
  EXPECT_EQ(weight["label"], 16);
  EXPECT_DOUBLE_EQ(weight["v"], 16.0 / 5);
  TestStep test;
  Stream same(5, "noise", at::kCPU), again(5, "noise", at::kCPU);
  Streams streams(1, at::kCPU);
  Collective collective;
  Step one{.noise = same, .streams = streams, .collective = collective},
      two{.noise = again, .streams = streams, .collective = collective};
  const auto with = make_elbo({}, *weighted, {})->losses(batch, one), without = make_elbo({}, *plain, {})->losses(batch, two);
  expect_close(term(with, "bound"), term(without, "bound"), 1e-6);
  EXPECT_FALSE(with.loss.allclose(without.loss));
  weighted->eval();
  expect_close(loss_of(*weighted, bounds()[0], batch), loss_of(*plain, bounds()[0], batch), 1e-6);
}

/// Conditioning runs no encoder of a modality that isn't given.
TEST(MultimodalVae, ConditioningReadsWhatIsGivenAndNothingElse) {
  const auto model = build(three("private_size: 2, aggregation: {type: mopoe}"));
  auto batch = batch_of_three();
  batch.fields.erase("label");
  Stream noise(1, "noise", at::kCPU), same(1, "noise", at::kCPU);
  const auto latents = model->condition(batch, {"x"}, 3, noise);
  check_shape(latents.layers[0].z, {3, kB, 4}, "z");
  EXPECT_FALSE(latents.layers[0].z.requires_grad());
  batch.fields["v"].value = batch.at("v") + 100;
  expect_equal(model->condition(batch, {"x"}, 3, same).layers[0].z, latents.layers[0].z);
  const auto made = model->decode(latents, batch, {"label"});
  ASSERT_EQ(made.size(), 1U);
  EXPECT_FALSE(made[0].target.defined());
  EXPECT_EQ(made[0].likelihood->batch_shape(), Shape({3, kB}));
}

TEST(MultimodalVae, PrivateLatentsOfAMissingModalityArePrior) {
  const auto model = build(three("private_size: 2, aggregation: {type: poe}"));
  const auto latents = model->posterior(with_gaps(0), model->experts(with_gaps(0), model->modalities()));
  ASSERT_EQ(latents.layers.size(), 4U);
  EXPECT_EQ(latents.layers[3].name, "private.x");
  expect_equal(latents.layers[3].q->mean()[1], torch::zeros({2}));
  expect_close(latents.layers[3].q->variance()[1], 1.0, 1e-6);
  EXPECT_TRUE(latents.layers[3].q->mean()[0].ne(0).any().item<bool>());
}

TEST(MultimodalVae, SaysWhatItCanNotBuild) {
  const auto message = [](const std::string& yaml) {
    try {
      build(yaml);
    } catch (const ConfigError& error) {
      return std::string(error.what());
    }
    return std::string("nothing");
  };
  EXPECT_NE(message("{modalities: {}}").find("modalities: is empty, expected a modality"), std::string::npos)
      << message("{modalities: {}}");
  EXPECT_EQ(message("{modalities: {y: {}}}"),
            "model.modalities.y reads the field y, which this data set does not have; it has label, v, x");
  EXPECT_NE(message("{modalities: {joint: {field: x}}}").find("'joint' can't be a modality's name"), std::string::npos);
  EXPECT_EQ(
      message("{modalities: {x: {}}, prior: {type: mixture}}"),
      "model.aggregation.prior_expert: the expert is N(0, I), but the prior is 'mixture'; choose prior_expert: none, or prior: "
      "{type: standard_normal}");
  EXPECT_NE(message("{modalities: {x: {weight: much}}}").find("modalities.x.weight: got 'much', expected a number, or auto"),
            std::string::npos)
      << message("{modalities: {x: {weight: much}}}");
  EXPECT_NE(message("{modalities: {x: {}}, aggregation: {type: mopoe, subsets: most}}").find("or all, singles, full"),
            std::string::npos);
}

}  // namespace elbo::multimodal_test
