#include "elbo/objectives/nll.h"

#include <cmath>

namespace elbo {
namespace {

class Nll final : public Objective {
 public:
  explicit Nll(CodePriorModel& model) : model_(model) {
    for (size_t i = 0; i < model.num_levels(); ++i) {
      const auto& grid = model.prior(i).grid();
      codes_ += static_cast<double>(grid.height * grid.width * grid.groups);
    }
  }

  LossTerms losses(const Batch& batch, Step& step) override {
    const auto levels = model_.losses(batch, step);
    auto [loss, bound] = levels.front();
    for (size_t i = 1; i < levels.size(); ++i) {
      loss = loss + levels[i].value;
      bound = bound + levels[i].bound;
    }
    LossTerms result{.loss = loss, .terms = {{"bound", bound}, {"bits_per_code", bound / (-codes_ * M_LN2)}}};
    if (levels.size() < 2) return result;
    for (size_t i = 0; i < levels.size(); ++i) result.terms.push_back({"level_" + std::to_string(i), levels[i].bound});
    return result;
  }

 private:
  CodePriorModel& model_;
  double codes_ = 0;  // of an example
};

}  // namespace

std::shared_ptr<Objective> make_nll(const NoConfig& /*config*/, CodePriorModel& model, const ObjectiveContext& /*context*/) {
  return std::make_shared<Nll>(model);
}

}  // namespace elbo
