#include "code_priors/convolutional_priors.h"

#include <gtest/gtest.h>

#include "elbo/base/error.h"

using namespace elbo;

namespace elbo::convolutional_priors {
namespace {

using namespace prior_checks;

class ConvolutionalPriors : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(All, ConvolutionalPriors, testing::Values("pixel_cnn", "gated_pixel_cnn", "pixel_snail", "plain_snail"),
                         [](const auto& one) { return one.param; });

constexpr CodeGrid kSquare = {.height = 5, .width = 5, .groups = 1, .vocabulary = 3};

TEST_P(ConvolutionalPriors, SeeEarlierPlacesWithinTheirRadiusAndNothingElse) {
  PriorBed bed(kSquare);
  const auto prior = small_prior(GetParam(), bed.context());
  expect_causal(*prior, {}, [](int64_t j, int64_t i) { return sees(GetParam(), 5, j, i); });
}

TEST_P(ConvolutionalPriors, SeeEarlierGroupsOfTheirPlace) {
  PriorBed bed({.height = 2, .width = 3, .groups = 3, .vocabulary = 3});
  const auto prior = small_prior(GetParam(), bed.context());
  expect_causal(*prior, {}, [](int64_t j, int64_t i) { return i / 3 == j / 3 || sees(GetParam(), 3, j / 3, i / 3); });
}

TEST_P(ConvolutionalPriors, AreNormalised) {
  for (const auto& grid : {CodeGrid{.height = 3, .width = 3, .groups = 1, .vocabulary = 2},
                           CodeGrid{.height = 2, .width = 2, .groups = 2, .vocabulary = 2},
                           CodeGrid{.height = 1, .width = 1, .groups = 1, .vocabulary = 5},
                           CodeGrid{.height = 1, .width = 3, .groups = 1, .vocabulary = 3}}) {
    PriorBed bed(grid);
    const auto prior = small_prior(GetParam(), bed.context(2), {.entry_kernel = 7, .kernel = 3});
    expect_normalised(*prior);
    expect_normalised(*prior, {.label = torch::ones({1}, torch::kLong)});
  }
}

TEST_P(ConvolutionalPriors, PassPlaceByPlaceGivesTheBitsOfTheWholePass) {
  const CodeGrid above = {.height = 2, .width = 3, .groups = 2, .vocabulary = 4};
  for (const auto& grid : {CodeGrid{.height = 5, .width = 4, .groups = 2, .vocabulary = 6},
                           CodeGrid{.height = 2, .width = 6, .groups = 1, .vocabulary = 7},
                           CodeGrid{.height = 1, .width = 1, .groups = 1, .vocabulary = 3},
                           CodeGrid{.height = 3, .width = 1, .groups = 1, .vocabulary = 3}}) {
    PriorBed bed(grid);
    expect_incremental_equals_whole(*small_prior(GetParam(), bed.context(), {.entry_kernel = 5, .kernel = 3}));
    const auto conditional = small_prior(GetParam(), bed.context(3, above), {.entry_kernel = 3, .kernel = 5});
    expect_incremental_equals_whole(*conditional,
                                    {.label = torch::tensor({2, -1, 0}, torch::kLong), .above = scattered_codes(above, 3)});
  }
}

TEST_P(ConvolutionalPriors, SamplesFollowTheProbabilities) {
  PriorBed bed({.height = 2, .width = 2, .groups = 1, .vocabulary = 3});
  const auto prior = small_prior(GetParam(), bed.context());
  expect_samples_follow(*prior);
  expect_greedy_is_argmax(*prior);
}

TEST_P(ConvolutionalPriors, ClassChangesEveryLogitAndAbsentClassHasItsOwnRow) {
  PriorBed bed(kSquare);
  const auto prior = small_prior(GetParam(), bed.context(2));
  const auto codes = scattered_codes(kSquare, 1);
  const auto given = [&](int64_t label) { return logits_of(*prior, codes, {.label = torch::full({1}, label, torch::kLong)}); };
  const auto untold = logits_of(*prior, codes, {});
  expect_equal(given(-1), untold);
  EXPECT_TRUE((given(0) != given(1)).any(2).all().item<bool>());
  EXPECT_TRUE((given(1) != untold).any(2).all().item<bool>());
}

TEST_P(ConvolutionalPriors, LevelAboveIsSeenWhereItLies) {
  const CodeGrid above = {.height = 5, .width = 5, .groups = 2, .vocabulary = 4};
  PriorBed bed({.height = 10, .width = 10, .groups = 1, .vocabulary = 3});
  const auto prior = small_prior(GetParam(), bed.context(0, above));
  const auto codes = scattered_codes(bed.grid, 1);
  auto condition = scattered_codes(above, 1);
  const auto before = logits_of(*prior, codes, {.above = condition.clone()})[0].view({10, 10, 3});
  condition[0][4][4][1] = (condition[0][4][4][1] + 1) % 4;  // in the last group of the last place
  const auto changed = (logits_of(*prior, codes, {.above = condition})[0].view({10, 10, 3}) != before).any(2);
  // Two 3 x 3 convolutions above reach two places of it from the changed one, hence the last three: rows 4 and columns 4 on.
  EXPECT_TRUE(changed.slice(0, 4).slice(1, 4).all().item<bool>());
  // Rows above that see no later row, whatever the network.
  EXPECT_FALSE(changed.slice(0, 0, 4).any().item<bool>());
}

TEST_P(ConvolutionalPriors, ConditionThatDoesNotFitIsRefused) {
  PriorBed bed(kSquare);
  const auto plain = small_prior(GetParam(), bed.context());
  const auto below = small_prior(GetParam(), bed.context(2, kSquare));
  const auto codes = scattered_codes(kSquare, 2);
  EXPECT_THROW(logits_of(*plain, codes, {.above = codes}), UsageError);
  EXPECT_THROW(logits_of(*below, codes, {}), UsageError);
  EXPECT_THROW(logits_of(*below, codes, {.above = codes.narrow(1, 0, 4)}), ShapeError);
  EXPECT_THROW(logits_of(*below, codes, {.label = torch::zeros({1}, torch::kLong), .above = codes}), ShapeError);
  EXPECT_THROW(logits_of(*plain, codes.narrow(2, 0, 4), {}), ShapeError);
  EXPECT_THROW(small_prior(GetParam(), PriorBed({.height = 5, .width = 5, .groups = 1, .vocabulary = 0}).context()), ConfigError);
}

TEST_P(ConvolutionalPriors, PassEndsAfterTheLastPosition) {
  PriorBed bed({.height = 1, .width = 2, .groups = 1, .vocabulary = 3});
  const auto prior = small_prior(GetParam(), bed.context());
  const auto decoding = prior->start(1, {}, floating_arithmetic());
  const auto code = torch::zeros({1}, torch::kLong);
  decoding->next({});
  decoding->next(code);
  EXPECT_THROW(decoding->next(code), UsageError);
}

TEST_P(ConvolutionalPriors, EveryParameterHasAGradient) {
  const CodeGrid above = {.height = 2, .width = 2, .groups = 1, .vocabulary = 2};
  PriorBed bed({.height = 4, .width = 4, .groups = 2, .vocabulary = 3});
  const auto prior = small_prior(GetParam(), bed.context(2, above));
  auto step = bed.step(true);
  const CodeCondition condition = {.label = torch::tensor({0, 1, -1}, torch::kLong), .above = scattered_codes(above, 3)};
  prior->loss(scattered_codes(bed.grid, 3), condition, step).value.sum().backward();
  for (const auto& parameter : prior->named_parameters()) {
    ASSERT_TRUE(parameter.value().grad().defined()) << parameter.key();
    EXPECT_TRUE(parameter.value().grad().isfinite().all().item<bool>()) << parameter.key();
    EXPECT_GT(parameter.value().grad().abs().max().item<double>(), 0) << parameter.key();
  }
}

/// Perturbs every earlier place of a 9 x 9 map: which of them the logits at (4, 4) see.
Tensor seen_from_the_middle(AutoregressiveCodePrior& prior) {
  const auto& grid = prior.grid();
  const auto codes = scattered_codes(grid, 1);
  const int64_t middle = 4 * grid.width + 4;
  const auto before = logits_of(prior, codes, {})[0][middle];
  auto seen = torch::zeros({grid.height, grid.width}, torch::kBool);
  for (int64_t j = 0; j < grid.height * grid.width; ++j) {
    auto changed = codes.clone();
    changed.view(-1)[j] = (changed.view(-1)[j] + 1) % grid.vocabulary;
    seen.view(-1)[j] = !logits_of(prior, changed, {})[0][middle].equal(before);
  }
  return seen;
}

TEST(BlindSpot, IsATriangleUpAndRightOfPlainAndNotOfGatedAndSnail) {
  PriorBed bed({.height = 9, .width = 9, .groups = 1, .vocabulary = 3});
  constexpr SmallKernels kWide = {.entry_kernel = 5, .kernel = 3};  // radius 4: the map's edge
  auto earlier = torch::zeros({9, 9}, torch::kBool);
  earlier.slice(0, 0, 4).fill_(true);
  earlier[4].slice(0, 0, 4).fill_(true);
  expect_equal(seen_from_the_middle(*small_prior("gated_pixel_cnn", bed.context(), kWide)), earlier);
  expect_equal(seen_from_the_middle(*small_prior("pixel_snail", bed.context(), kWide)), earlier);
  // (4 - a, 4 + b) with b > 2 + (a - 1): of row 3 columns 7 and 8, of row 2 column 8.
  auto plain = earlier.clone();
  plain[3].slice(0, 7).fill_(false);
  plain[2].slice(0, 8).fill_(false);
  expect_equal(seen_from_the_middle(*small_prior("pixel_cnn", bed.context(), kWide)), plain);
  expect_equal(seen_from_the_middle(*small_prior("plain_snail", bed.context(), kWide)), plain);
}

}  // namespace
}  // namespace elbo::convolutional_priors
