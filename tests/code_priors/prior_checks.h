#pragma once
#include <torch/optim/adam.h>

#include <cmath>
#include <functional>

#include "elbo/code_priors/code_prior.h"
#include "support/tensors.h"

/// What every prior over codes must do, whatever its network: each check takes a prior that is built and fails by itself.
namespace elbo::prior_checks {

/// What a prior is built from and called with.
struct PriorBed {
  explicit PriorBed(CodeGrid codes, uint64_t seed = 1)
      : grid(codes), init(seed, "init", at::kCPU), noise(seed, "noise", at::kCPU), streams(seed, at::kCPU) {}
  CodePriorContext context(int64_t num_classes = 0, std::optional<CodeGrid> above = {}) {
    return {.grid = grid, .num_classes = num_classes, .above = above, .init = init};
  }
  Step step(bool training) { return {.training = training, .noise = noise, .streams = streams, .collective = collective}; }

  CodeGrid grid;
  Stream init, noise;
  Streams streams;
  Collective collective;
};

inline int64_t num_positions(const CodeGrid& grid) { return grid.height * grid.width * grid.groups; }

/// Codes without pattern. Shapes: int64 [B, h, w, G].
inline Tensor scattered_codes(const CodeGrid& grid, int64_t B, double phase = 0) {
  const auto x = wavy({B, grid.height, grid.width, grid.groups}, phase) * 1000;
  return ((x - x.floor()) * static_cast<double>(grid.vocabulary)).to(torch::kLong).clamp_max(grid.vocabulary - 1);
}

/// Every configuration, [V^T, h, w, G].
inline Tensor all_codes(const CodeGrid& grid) {
  const auto T = num_positions(grid);
  const auto count = static_cast<int64_t>(std::llround(std::pow(static_cast<double>(grid.vocabulary), static_cast<double>(T))));
  auto rest = torch::arange(count);
  std::vector<Tensor> digits;
  for (int64_t t = 0; t < T; ++t) {
    digits.push_back(rest.remainder(grid.vocabulary));
    rest = rest.div(grid.vocabulary, "floor");
  }
  return torch::stack(digits, 1).view({count, grid.height, grid.width, grid.groups});
}

/// One row's condition for B rows.
inline CodeCondition repeated(const CodeCondition& one, int64_t B) {
  CodeCondition many;
  if (one.label.defined()) many.label = one.label.expand({B});
  if (one.above.defined()) many.above = one.above.expand({B, -1, -1, -1});
  return many;
}

/// Moves every parameter away from its start, zeros included, so that nothing is hidden by a weight that happens to be small.
inline void scatter_parameters(torch::nn::Module& module, double scale = 0.3) {
  const torch::NoGradGuard no_grad;
  Stream stream(9, "scatter", at::kCPU);
  for (auto& parameter : module.parameters()) parameter.add_(scale * stream.normal(parameter.sizes(), {}));
}

inline Tensor logits_of(AutoregressiveCodePrior& prior, const Tensor& codes, const CodeCondition& condition,
                        Arithmetic& arithmetic = floating_arithmetic()) {
  const torch::NoGradGuard no_grad;
  const auto B = codes.size(0);
  auto logits = prior.logits(codes, condition, arithmetic, nullptr);
  check_shape(logits, {B, num_positions(prior.grid()), prior.grid().vocabulary}, "logits");
  return logits;
}

/// Changes each code in turn: the logits of its own and of all earlier positions must keep every bit, those of later positions
/// must change where `reaches(j, i)` says so (positions; by default everywhere). `condition` is of one row.
inline void expect_causal(AutoregressiveCodePrior& prior, const CodeCondition& condition = {},
                          const std::function<bool(int64_t, int64_t)>& reaches = {}) {
  const auto& grid = prior.grid();
  const auto T = num_positions(grid);
  const auto codes = scattered_codes(grid, 1);
  for (auto* arithmetic : {&floating_arithmetic(), &exact_arithmetic()}) {
    const auto before = logits_of(prior, codes, condition, *arithmetic)[0];
    for (int64_t j = 0; j < T; ++j) {
      auto changed = codes.clone();
      auto flat = changed.view(-1);
      flat[j] = (flat[j] + 1 + flat[j] % (grid.vocabulary - 1)).remainder(grid.vocabulary);
      ASSERT_FALSE(changed.equal(codes));
      const auto same = logits_of(prior, changed, condition, *arithmetic)[0].eq(before).all(1);
      for (int64_t i = 0; i < T; ++i) {
        const bool unchanged = same[i].item<bool>();
        if (i <= j) {
          EXPECT_TRUE(unchanged) << "position " << i << " sees the code at " << j;
        } else {
          EXPECT_EQ(!unchanged, !reaches || reaches(j, i)) << "position " << i << ", code at " << j;
        }
      }
    }
  }
}

/// log p of every configuration. Shapes: [V^T].
inline Tensor enumerated(AutoregressiveCodePrior& prior, const CodeCondition& condition = {}) {
  const torch::NoGradGuard no_grad;
  const auto codes = all_codes(prior.grid());
  return prior.log_prob(codes, repeated(condition, codes.size(0))).to(torch::kDouble);
}

/// The probabilities of all configurations sum to 1: masks, shifts and normalisation at once.
inline void expect_normalised(AutoregressiveCodePrior& prior, const CodeCondition& condition = {}) {
  EXPECT_NEAR(enumerated(prior, condition).exp().sum().item<double>(), 1, 1e-4);
}

/// Position by position, given the true codes. Shapes: [B, T, V].
inline Tensor incremental_logits(AutoregressiveCodePrior& prior, const Tensor& codes, const CodeCondition& condition,
                                 Arithmetic& arithmetic) {
  const torch::NoGradGuard no_grad;
  const auto flat = codes.flatten(1);
  const auto decoding = prior.start(codes.size(0), condition, arithmetic);
  std::vector<Tensor> logits;
  for (int64_t t = 0; t < flat.size(1); ++t) {
    logits.push_back(decoding->next(t == 0 ? Tensor() : flat.select(1, t - 1)).clone());
  }
  return torch::stack(logits, 1);
}

/// Also of a part of the rows: what a decoder sees depends on no other row. `condition` is of B rows.
inline void expect_incremental_equals_whole(AutoregressiveCodePrior& prior, const CodeCondition& condition = {}, int64_t B = 3) {
  const auto codes = scattered_codes(prior.grid(), B);
  expect_close(incremental_logits(prior, codes, condition, floating_arithmetic()), logits_of(prior, codes, condition), 1e-5,
               1e-5);
  const auto whole = logits_of(prior, codes, condition, exact_arithmetic());
  EXPECT_EQ(whole.scalar_type(), torch::kDouble);
  EXPECT_TRUE(incremental_logits(prior, codes, condition, exact_arithmetic()).equal(whole)) << "not bit for bit";
  CodeCondition last;
  if (condition.label.defined()) last.label = condition.label.narrow(0, B - 1, 1);
  if (condition.above.defined()) last.above = condition.above.narrow(0, B - 1, 1);
  EXPECT_TRUE(logits_of(prior, codes.narrow(0, B - 1, 1), last, exact_arithmetic()).equal(whole.narrow(0, B - 1, 1)))
      << "a row depends on its batch";
  expect_close(whole, logits_of(prior, codes, condition), 1e-3, 1e-4);
}

/// Samples have the enumerated probabilities: a chi-square statistic within five standard deviations of its mean.
inline void expect_samples_follow(AutoregressiveCodePrior& prior, const CodeCondition& condition = {}, int64_t draws = 4000) {
  Stream noise(5, "sampling", at::kCPU);
  const auto& grid = prior.grid();
  const auto p = enumerated(prior, condition).exp();
  const auto codes = prior.sample(draws, repeated(condition, draws), {}, noise);
  check_shape(codes, {draws, grid.height, grid.width, grid.groups}, "samples");
  auto index = torch::zeros({draws}, torch::kLong);
  for (int64_t t = num_positions(grid) - 1; t >= 0; --t) index = index * grid.vocabulary + codes.flatten(1).select(1, t);
  const auto counts = torch::bincount(index, {}, p.numel()).to(torch::kDouble);
  const auto expected = p * static_cast<double>(draws);
  const auto cells = static_cast<double>(p.numel());
  const auto statistic = ((counts - expected).square() / expected).sum().item<double>();
  // The variance of the statistic: 2 (cells - 1) and what rare cells add.
  const auto variance = 2 * (cells - 1) + (1 / expected).sum().item<double>();
  EXPECT_LT(std::abs(statistic - (cells - 1)), 5 * std::sqrt(variance))
      << "chi-square " << statistic << " of " << cells << " cells";
}

/// Temperature 0 takes the most likely code at every position.
inline void expect_greedy_is_argmax(AutoregressiveCodePrior& prior, const CodeCondition& condition = {}) {
  Stream noise(5, "sampling", at::kCPU);
  const auto codes = prior.sample(2, repeated(condition, 2), {.temperature = 0}, noise);
  expect_equal(codes.flatten(1), logits_of(prior, codes, repeated(condition, 2)).argmax(2));
}

struct TrainingPlan {
  int64_t steps = 200;
  int64_t batch_size = 32;
  double learning_rate = 3e-3;
};

/// Trains on batches that `draw` makes and returns the mean loss of the last step. Units: nats an example.
inline double train(PriorBed& bed, CodePrior& prior, const std::function<Tensor(Stream&, int64_t)>& draw,
                    const TrainingPlan& plan = {}, const std::function<CodeCondition(const Tensor&)>& condition = {}) {
  torch::optim::Adam optimizer(prior.parameters(), torch::optim::AdamOptions(plan.learning_rate));
  double last = 0;
  for (int64_t i = 0; i < plan.steps; ++i) {
    bed.streams.rekey(i);
    bed.noise.rekey(i);
    const auto codes = draw(bed.streams.data, plan.batch_size);
    auto step = bed.step(true);
    const auto loss = prior.loss(codes, condition ? condition(codes) : CodeCondition{}, step).value.mean();
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    last = loss.item<double>();
  }
  return last;
}

/// The mean of the evaluation's loss. Units: bits a position.
inline double bits_a_position(PriorBed& bed, CodePrior& prior, const Tensor& codes, const CodeCondition& condition = {}) {
  const torch::NoGradGuard no_grad;
  auto step = bed.step(false);
  return prior.loss(codes, condition, step).value.mean().item<double>() / std::log(2) /
         static_cast<double>(num_positions(prior.grid()));
}

inline Tensor uniform_codes(const CodeGrid& grid, Stream& stream, int64_t B) {
  return (stream.uniform({B}, {grid.height, grid.width, grid.groups}) * grid.vocabulary).to(torch::kLong);
}

/// Slow. One image over and over costs nothing in the end.
inline void expect_overfits(PriorBed& bed, CodePrior& prior, const TrainingPlan& plan = {.batch_size = 4}) {
  const auto one = scattered_codes(bed.grid, 1);
  train(
      bed, prior,
      [&](Stream&, int64_t B) {
        return one.expand({B, -1, -1, -1});
      },
      plan);
  EXPECT_LT(bits_a_position(bed, prior, one), 0.02);
}

/// Slow. Independent uniform codes cost log2 V bits each, and never less.
inline void expect_cannot_predict_noise(PriorBed& bed, CodePrior& prior, const TrainingPlan& plan = {}) {
  train(
      bed, prior, [&](Stream& stream, int64_t B) { return uniform_codes(bed.grid, stream, B); }, plan);
  Stream fresh(77, "test", at::kCPU);
  const auto bits = bits_a_position(bed, prior, uniform_codes(bed.grid, fresh, 2000));
  const auto nominal = std::log2(static_cast<double>(bed.grid.vocabulary));
  EXPECT_GT(bits, nominal - 0.01);
  EXPECT_LT(bits, nominal + 0.05);
}

/// Slow. Where every code is a copy of the first, only the first costs anything.
inline void expect_learns_copies(PriorBed& bed, CodePrior& prior, const TrainingPlan& plan = {}, double slack = 0.05) {
  const auto copies = [&](Stream& stream, int64_t B) {
    return uniform_codes({.vocabulary = bed.grid.vocabulary}, stream, B)
        .expand({B, bed.grid.height, bed.grid.width, bed.grid.groups})
        .contiguous();
  };
  train(bed, prior, copies, plan);
  Stream fresh(78, "test", at::kCPU);
  const auto bits = bits_a_position(bed, prior, copies(fresh, 500));
  const auto truth = std::log2(static_cast<double>(bed.grid.vocabulary)) / static_cast<double>(num_positions(bed.grid));
  EXPECT_GT(bits, truth - 0.01);
  EXPECT_LT(bits, truth + slack);
}

}  // namespace elbo::prior_checks
