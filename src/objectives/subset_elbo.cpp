#include "elbo/objectives/subset_elbo.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/distributions/kl.h"
#include "kl_term.h"
#include "multimodal.h"

namespace elbo {
namespace {

/// All subsets of 2 to M - 1 of M modalities. Shapes: [P, M] bool.
Tensor between_one_and_all(int64_t M) {
  std::vector<Tensor> rows;
  for (int64_t bits = 1; bits < (int64_t{1} << M); ++bits) {
    auto row = torch::zeros({M}, torch::kBool);
    for (int64_t m = 0; m < M; ++m) {
      if (bits >> m & 1) row[m] = true;
    }
    const auto size = row.sum().item<int64_t>();
    if (size >= 2 && size < M) rows.push_back(row);
  }
  return rows.empty() ? Tensor() : torch::stack(rows);
}

/// A subset with its latents drawn; `members` [B] bool by modality where it differs from row to row.
struct Drawn {
  Subset names = {};
  std::vector<Tensor> members = {};
  Latents latents = {};
};

class SubsetElbo final : public Objective {
 public:
  SubsetElbo(const SubsetElboConfig& config, Multimodal& model, const ObjectiveContext& context)
      : config_(config), model_(model), beta_("beta", config.beta, context.device) {
    constexpr size_t kMost = 12;
    detail::need_aggregation(model, {"poe"}, context);
    const auto M = model.modalities().size();
    if (config.random_subsets == 0) return;
    if (M > kMost) throw ConfigError(context.objective + ": random subsets are of at most 12 modalities; set random_subsets: 0");
    table_ = between_one_and_all(static_cast<int64_t>(M));
    if (table_.defined()) table_ = table_.to(context.device);
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto& all = model_.modalities();
    const auto experts = model_.experts(batch, all);
    std::vector<Drawn> subsets = {draw(batch, experts, {}, step)};
    if (config_.singles && all.size() > 1) {
      for (const auto& name : all) subsets.push_back(draw(batch, {detail::expert_named(experts, name)}, {}, step));
    }
    for (int64_t i = 0; table_.defined() && i < config_.random_subsets; ++i) {
      subsets.push_back(draw(batch, experts, random_members(batch.size(), step), step));
    }
    Tensor divergence;
    for (const auto& subset : subsets) divergence = detail::plus(divergence, divergence_of(subset));
    detail::Distortion distortion;
    for (const auto& name : all) {
      const auto own = distortion_of(name, subsets, batch);
      distortion.optimised = detail::plus(distortion.optimised, own.optimised);
      distortion.reported = detail::plus(distortion.reported, own.reported);
    }
    const auto& whole = subsets.front().latents;
    return {.loss = distortion.optimised + beta_.tensor() * divergence,
            .terms = detail::elbo_terms(distortion, detail::kl_term(whole, KlEstimator::analytic).detach())};
  }

  std::vector<Scheduled> scheduled() override { return {beta_}; }
  int64_t samples() const override {
    const auto M = static_cast<int64_t>(model_.modalities().size());
    return config_.samples * (1 + (config_.singles ? 1 : 0) + (M > 2 ? config_.random_subsets : 0));
  }

 private:
  /// Which modalities each row's subset has, by modality: [B] bool.
  std::vector<Tensor> random_members(int64_t B, Step& step) {
    const auto P = table_.size(0);
    const auto index = (step.noise.uniform({1, B}, {}).squeeze(0) * static_cast<double>(P)).to(torch::kLong).clamp_max(P - 1);
    return table_.index_select(0, index).unbind(1);
  }

  Drawn draw(const Batch& batch, std::vector<Expert> experts, std::vector<Tensor> members, Step& step) {
    Drawn subset{.members = std::move(members)};
    for (size_t m = 0; m < experts.size(); ++m) {
      auto& expert = experts[m];
      subset.names.push_back(expert.name);
      if (subset.members.empty()) continue;
      expert.present = expert.present.defined() ? expert.present & subset.members[m] : subset.members[m];
    }
    subset.latents = drawn(model_.posterior(batch, experts), batch.size(), config_.samples, step.noise);
    return subset;
  }

  static Tensor member(const Drawn& subset, const std::string& name) {
    const auto place = std::find(subset.names.begin(), subset.names.end(), name);
    return subset.members.empty() ? Tensor() : subset.members[static_cast<size_t>(place - subset.names.begin())];
  }

  /// KL of z and of its members' private latents.
  static Tensor divergence_of(const Drawn& subset) {
    Tensor total;
    for (const auto& layer : subset.latents.layers) {
      auto term = kl(*layer.q, *layer.p);
      for (const auto& name : subset.names) {
        const auto inside = layer.name == detail::private_layer(name) ? member(subset, name) : Tensor();
        if (inside.defined()) term = torch::where(inside, term, torch::zeros({}, term.options()));
      }
      total = detail::plus(total, term);
    }
    return total;
  }

  /// -log p(x_m | z_A), averaged over samples and summed over the subsets that hold m: one pass of the decoder. As reported: of
  /// the first subset, all modalities.
  detail::Distortion distortion_of(const std::string& name, const std::vector<Drawn>& subsets, const Batch& batch) {
    std::vector<const Drawn*> holders;
    for (const auto& subset : subsets) {
      if (std::find(subset.names.begin(), subset.names.end(), name) != subset.names.end()) holders.push_back(&subset);
    }
    Latents together;
    for (size_t l = 0; l < subsets.front().latents.layers.size(); ++l) {
      const auto& layer = subsets.front().latents.layers[l];
      if (layer.name != "z" && layer.name != detail::private_layer(name)) continue;
      std::vector<Tensor> each;
      for (const auto* holder : holders) each.push_back(holder->latents.layers[l].z);
      together.layers.push_back({.name = layer.name, .z = torch::stack(each)});  // [A, K, B, D]
    }
    const auto observations = model_.decode(together, batch, {name});
    const auto log_p = log_likelihood(observations);  // [A, K, B]
    const auto reported = reported_log_likelihood(observations, log_p).detach();
    Tensor total;
    for (size_t a = 0; a < holders.size(); ++a) {
      auto term = -log_p[static_cast<int64_t>(a)].mean(0);
      const auto inside = member(*holders[a], name);
      if (inside.defined()) term = torch::where(inside, term, torch::zeros({}, term.options()));
      total = detail::plus(total, term);
    }
    return {.optimised = total, .reported = -reported[0].mean(0)};
  }

  SubsetElboConfig config_;
  Multimodal& model_;
  Scheduled beta_;
  Tensor table_ = {};  // of the random subsets
};

}  // namespace

std::shared_ptr<Objective> make_subset_elbo(const SubsetElboConfig& config, Multimodal& model, const ObjectiveContext& context) {
  return std::make_shared<SubsetElbo>(config, model, context);
}

}  // namespace elbo
