#pragma once
#include "elbo/models/family.h"
#include "elbo/objectives/objective.h"

namespace elbo {

/// When the unimodal encoders of telbo learn.
enum class TelboStage {
  two,  // after switch_step, when all the rest stands still
  one   // from the start, through decoders that they don't change
};
constexpr auto enum_names(TelboStage) {
  using namespace std::string_view_literals;
  return std::array{std::pair{"two"sv, TelboStage::two}, std::pair{"one"sv, TelboStage::one}};
}

/// Triple ELBO, for model.aggregation {type: joint}: decoders and joint encoder learn from the ELBO J of all modalities; each
/// modality's encoder from U_m = E_{q_m}[log p(x_m | z)] - beta KL(q_m || p), its own modality alone, which changes nothing else.
/// At its best q_m is the model's p(z | x_m).
/// Source: Vedantam et al. 2018 (arXiv:1705.10762), section 3.1. Units: nats per example. Terms: bound (J, weights 1),
/// reconstruction, kl, and unimodal_NAME (U_m, weights 1) where it is trained.
/// Throws: ConfigError for another aggregation, no unimodal encoders, or private latents.
struct TelboConfig {
  TelboStage stage = TelboStage::two;
  int64_t switch_step = 10'000;
  ScheduledNumber beta = scheduled_number(1);
  int64_t samples = 1;

  template <class F>
  void fields(F& field) {
    field("stage", stage, "two: unimodal encoders learn alone, after switch_step; one: from the start");
    field("switch_step", switch_step, "the first step of the second stage: half of all steps, say", at_least(1));
    field("beta", beta, "weight of all divergences", at_least(0));
    field("samples", samples, "samples K an example and encoder", between(1, 100'000));
  }
};

std::shared_ptr<Objective> make_telbo(const TelboConfig& config, Multimodal& model, const ObjectiveContext& context);

}  // namespace elbo
