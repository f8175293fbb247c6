#include "elbo/code_priors/transformer.h"

#include "code_priors/prior_checks.h"
#include "elbo/base/error.h"
#include "elbo/math/init.h"

namespace elbo::transformer_prior_test {

using namespace prior_checks;

TransformerPriorConfig small(int64_t window = 0) { return {.width = 16, .layers = 2, .heads = 2, .window = window}; }

/// A prior whose parameters are all away from their start.
struct Built {
  explicit Built(CodeGrid grid, const TransformerPriorConfig& config = small(), int64_t num_classes = 0,
                 std::optional<CodeGrid> above = {})
      : bed(grid), prior(make_transformer_prior(config, bed.context(num_classes, above))) {
    scatter_parameters(*prior);
  }
  PriorBed bed;
  std::shared_ptr<AutoregressiveCodePrior> prior;
};

constexpr CodeGrid kAbove = {.height = 1, .width = 2, .groups = 2, .vocabulary = 3};

CodeCondition told(int64_t B) {
  return {.label = (torch::arange(B) * 2).remainder(5) - 1, .above = scattered_codes(kAbove, B, 0.5)};
}

TEST(TransformerPrior, NoLogitSeesItsOwnOrLaterCodes) {
  expect_causal(*Built({.height = 5, .width = 5, .vocabulary = 4}).prior);
  expect_causal(*Built({.height = 2, .width = 3, .groups = 2, .vocabulary = 5}).prior);
}

TEST(TransformerPrior, AWindowReachesSoFarALayer) {
  const Built built({.height = 3, .width = 16, .vocabulary = 3}, small(3));
  // Position i reads the codes up to i - 1, each layer 2 further back.
  expect_causal(*built.prior, {}, [](int64_t j, int64_t i) { return i - 1 - j <= 2 * 2; });
}

TEST(TransformerPrior, IsNormalised) {
  expect_normalised(*Built({.height = 2, .width = 2, .vocabulary = 2}).prior);
  expect_normalised(*Built({.height = 3, .width = 3, .vocabulary = 2}).prior);
  expect_normalised(*Built({.height = 3, .width = 3, .vocabulary = 2}, small(3)).prior);
  expect_normalised(*Built({.height = 1, .width = 3, .groups = 2, .vocabulary = 3}).prior);
}

TEST(TransformerPrior, IsNormalisedUnderEveryCondition) {
  const Built built({.height = 2, .width = 2, .vocabulary = 3}, small(), 4, kAbove);
  const auto codes = all_codes(built.bed.grid);
  std::vector<Tensor> each;
  for (int64_t row = 0; row < 4; ++row) {
    const auto all = told(4);
    const CodeCondition one = {.label = all.label.narrow(0, row, 1), .above = all.above.narrow(0, row, 1)};
    expect_normalised(*built.prior, one);
    each.push_back(enumerated(*built.prior, one));
  }
  EXPECT_GT((each[0] - each[1]).abs().max().item<double>(), 0.1);
}

TEST(TransformerPrior, ClassAndLevelAboveAreRead) {
  const Built built({.height = 2, .width = 4, .vocabulary = 3}, small(), 4, kAbove);
  auto& prior = *built.prior;
  const auto codes = scattered_codes(built.bed.grid, 1);
  auto condition = told(1);
  const auto at = [&] { return logits_of(prior, codes, condition)[0]; };
  const auto not_told = at();
  condition.label = torch::tensor({3});
  EXPECT_TRUE(at().ne(not_told).any(1).all().item<bool>());
  condition.label = Tensor();
  expect_equal(at(), not_told);
  condition.above = (condition.above + 1).remainder(3);
  EXPECT_TRUE(at().ne(not_told).any(1).all().item<bool>());
  EXPECT_THROW(logits_of(prior, codes, {}), UsageError);
}

/// Without blocks over the level above nothing spreads: a code above moves just the places that lie under it, and those after.
TEST(TransformerPrior, TheLevelAboveEntersAtThePositionThatItPredicts) {
  auto config = small();
  config.above_layers = 0;
  constexpr CodeGrid kWide = {.height = 1, .width = 8, .groups = 1, .vocabulary = 3};
  const Built built({.height = 1, .width = 16, .groups = 2, .vocabulary = 3}, config, 0, kWide);
  const auto codes = scattered_codes(built.bed.grid, 1);
  auto above = scattered_codes(kWide, 1);
  const auto before = logits_of(*built.prior, codes, {.above = above})[0];
  above.view(-1)[5] = (above.view(-1)[5] + 1).remainder(3);
  const auto same = logits_of(*built.prior, codes, {.above = above})[0].eq(before).all(1);
  // Column 5 and, by the 3 x 3 entry, its neighbours: places 8 and on of 2 groups.
  for (int64_t t = 0; t < 32; ++t) EXPECT_EQ(same[t].item<bool>(), t < 16) << t;
}

TEST(TransformerPrior, PositionByPositionIsTheSame) {
  expect_incremental_equals_whole(*Built({.height = 3, .width = 4, .vocabulary = 5}).prior);
  expect_incremental_equals_whole(*Built({.height = 3, .width = 16, .vocabulary = 5}, small(4)).prior);
  const Built built({.height = 2, .width = 4, .groups = 2, .vocabulary = 5}, small(), 4, kAbove);
  expect_incremental_equals_whole(*built.prior, told(3));
}

TEST(TransformerPrior, EndsAfterTheLastPosition) {
  const Built built({.height = 1, .width = 2, .vocabulary = 3});
  const auto decoding = built.prior->start(2, {}, exact_arithmetic());
  decoding->next({});
  decoding->next(torch::zeros({2}, torch::kLong));
  EXPECT_THROW(decoding->next(torch::zeros({2}, torch::kLong)), UsageError);
}

TEST(TransformerPrior, SamplesFollowItsProbabilities) {
  const Built built({.height = 2, .width = 2, .vocabulary = 3}, small(), 4, kAbove);
  expect_samples_follow(*built.prior, told(1));
  expect_samples_follow(*Built({.height = 1, .width = 2, .groups = 2, .vocabulary = 3}).prior);
}

TEST(TransformerPrior, TemperatureZeroIsTheMostLikely) {
  expect_greedy_is_argmax(*Built({.height = 2, .width = 3, .groups = 2, .vocabulary = 7}).prior);
}

TEST(TransformerPrior, TiedWeightsAreOneTable) {
  const CodeGrid grid = {.height = 2, .width = 2, .groups = 2, .vocabulary = 50};
  auto config = small();
  PriorBed bed(grid);
  const auto untied = num_parameters(*make_transformer_prior(config, bed.context()));
  config.tied = true;
  const auto tied = make_transformer_prior(config, bed.context());
  EXPECT_EQ(untied - num_parameters(*tied), 2 * 50 * 16);
  expect_normalised(*Built({.height = 2, .width = 2, .vocabulary = 3}, config).prior);
  expect_incremental_equals_whole(*tied);
}

TEST(TransformerPrior, DropoutIsDrawnInTrainingOnly) {
  auto config = small();
  config.dropout = 0.5;
  Built built({.height = 2, .width = 2, .vocabulary = 3}, config);
  const auto codes = scattered_codes(built.bed.grid, 4);
  const auto loss = [&](int64_t step_index, bool training) {
    built.bed.streams.rekey(step_index);
    auto step = built.bed.step(training);
    return built.prior->loss(codes, {}, step).value.detach();
  };
  expect_equal(loss(0, true), loss(0, true));
  EXPECT_FALSE(loss(0, true).equal(loss(1, true)));
  expect_equal(loss(0, false), loss(1, false));
  expect_equal(loss(0, false), -built.prior->log_prob(codes, {}).detach());
}

TEST(SlowTransformerPrior, OverfitsOneImage) {
  PriorBed bed({.height = 4, .width = 4, .vocabulary = 16});
  expect_overfits(bed, *make_transformer_prior({.width = 32, .layers = 2}, bed.context()));
}

TEST(SlowTransformerPrior, CannotPredictNoise) {
  PriorBed bed({.height = 3, .width = 3, .vocabulary = 8});
  expect_cannot_predict_noise(bed, *make_transformer_prior({.width = 16, .layers = 1}, bed.context()));
}

TEST(SlowTransformerPrior, LearnsCopies) {
  PriorBed bed({.height = 2, .width = 4, .groups = 2, .vocabulary = 8});
  expect_learns_copies(bed, *make_transformer_prior({.width = 32, .layers = 2}, bed.context()), {.steps = 300});
}

}  // namespace elbo::transformer_prior_test
