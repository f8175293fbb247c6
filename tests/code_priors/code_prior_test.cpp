#include "elbo/code_priors/code_prior.h"

#include <gtest/gtest-spi.h>

#include "code_priors/prior_checks.h"
#include "elbo/base/error.h"
#include "support/gradients.h"

namespace elbo::code_prior_test {

using namespace prior_checks;

/// Gives each row the next of these numbers.
struct Quantiles final : Noise {
  explicit Quantiles(std::vector<double> numbers) : u(values(std::move(numbers))) {}
  Tensor normal(at::IntArrayRef, at::IntArrayRef) override { return {}; }
  Tensor uniform(at::IntArrayRef leading, at::IntArrayRef event) override {
    return u.expand(c10::multiply_integers(joined(leading, event))).view(joined(leading, event));
  }
  Tensor u;
};

/// log of 0.1, 0.5, 0, 0.15, 0.25, for as many rows, up to a constant.
Tensor five_codes(int64_t rows) { return (values({0.1, 0.5, 0, 0.15, 0.25}).log() + 3).expand({rows, 5}).contiguous(); }

std::vector<int64_t> drawn(const CodeSampling& sampling, std::vector<double> u) {
  const auto rows = static_cast<int64_t>(u.size());
  Noise&& noise = Quantiles(std::move(u));
  const auto codes = draw_codes(five_codes(rows), sampling, noise);
  return {codes.data_ptr<int64_t>(), codes.data_ptr<int64_t>() + codes.numel()};
}

using Codes = std::vector<int64_t>;

TEST(DrawCodes, InvertsTheDistributionFunction) {
  EXPECT_EQ(drawn({}, {0, 0.0999, 0.1001, 0.5999, 0.6001, 0.7499, 0.7501, 0.9999999}), (Codes{0, 0, 1, 1, 3, 3, 4, 4}));
}

TEST(DrawCodes, TemperatureIsAPowerOfTheProbabilities) {
  // At 1/2 the squares: 0.01, 0.25, 0, 0.0225, 0.0625 of 0.345.
  const auto sum = 0.345;
  EXPECT_EQ(drawn({.temperature = 0.5}, {0.0099 / sum, 0.0101 / sum, 0.2599 / sum, 0.2601 / sum, 0.2824 / sum, 0.2826 / sum}),
            (Codes{0, 1, 1, 3, 3, 4}));
  for (const double cold : {0.0, 1e-9, 1e-300, 1e-310}) {
    EXPECT_EQ(drawn({.temperature = cold}, {0, 0.5, 0.999}), (Codes{1, 1, 1})) << cold;
    EXPECT_EQ(drawn({.temperature = cold, .top_k = 3}, {0, 0.5, 0.999}), (Codes{1, 1, 1})) << cold;
  }
}

TEST(DrawCodes, TopKKeepsTheLikeliest) {
  // By probability: codes 1, 4, 3.
  EXPECT_EQ(drawn({.top_k = 2}, {0, 0.6665, 0.6668, 0.999}), (Codes{1, 1, 4, 4}));
  EXPECT_EQ(drawn({.top_k = 3}, {0, 0.5 / 0.9 + 1e-4, 0.75 / 0.9 + 1e-4}), (Codes{1, 4, 3}));
  EXPECT_EQ(drawn({.top_k = 1}, {0, 0.999}), (Codes{1, 1}));
  for (const auto code : drawn({.top_k = 50}, {0.2, 0.55, 0.8, 0.95})) EXPECT_NE(code, 2);
}

TEST(DrawCodes, TopPKeepsTheFewestThatReachIt) {
  EXPECT_EQ(drawn({.top_p = 0.4}, {0, 0.999}), (Codes{1, 1}));
  EXPECT_EQ(drawn({.top_p = 0.6}, {0, 0.6665, 0.6668, 0.999}), (Codes{1, 1, 4, 4}));
  EXPECT_EQ(drawn({.top_p = 0.8}, {0.999}), (Codes{3}));
  // Of what top_k has left: 2/3 and 1/3.
  EXPECT_EQ(drawn({.top_k = 2, .top_p = 0.6}, {0.999}), (Codes{1}));
}

TEST(DrawCodes, RefusesWhatMeansNothing) {
  const auto message = [](const CodeSampling& sampling) -> std::string {
    try {
      drawn(sampling, {0.5});
    } catch (const UsageError& error) {
      return error.what();
    }
    return "nothing";
  };
  EXPECT_EQ(message({.temperature = -1}), "temperature of codes: must be at least 0, got -1");
  EXPECT_EQ(message({.temperature = std::nan("")}), "temperature of codes: must be at least 0, got nan");
  EXPECT_EQ(message({.top_k = -2}), "top_k of codes: must be at least 0 (0 = all), got -2");
  EXPECT_EQ(message({.top_p = 0}), "top_p of codes: must be in (0, 1], got 0");
  EXPECT_EQ(message({.top_p = 1.5}), "top_p of codes: must be in (0, 1], got 1.5");
}

/// Logits that are a table's rows by the code before.
class Chain final : public AutoregressiveCodePrior {
 public:
  Chain(CodeGrid grid, Tensor table) : table_(register_parameter("table", table)), grid_(grid) {}
  Tensor logits(const Tensor& codes, const CodeCondition&, Arithmetic&, Step* step) override {
    had_step = step != nullptr;
    const auto flat = codes.flatten(1);
    const auto before = torch::cat({torch::full({codes.size(0), 1}, grid_.vocabulary), flat.narrow(1, 0, flat.size(1) - 1)}, 1);
    return torch::embedding(table_, before);
  }
  std::unique_ptr<CodeDecoding> start(int64_t B, const CodeCondition&, Arithmetic&) override {
    struct Decoding final : CodeDecoding {
      Tensor next(const Tensor& previous) override {
        return torch::embedding(table, previous.defined() ? previous : torch::full({B}, table.size(1)));
      }
      Tensor table;
      int64_t B = 0;
    };
    auto decoding = std::make_unique<Decoding>();
    decoding->table = table_;
    decoding->B = B;
    return decoding;
  }
  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override { return "chain"; }

  bool had_step = false;

 private:
  Tensor table_;
  CodeGrid grid_;
};

TEST(AutoregressiveCodePrior, LogProbIsTheSumOverPositions) {
  const CodeGrid grid = {.height = 2, .width = 2, .vocabulary = 3};
  Chain chain(grid, wavy({4, 3}));
  const auto codes = torch::tensor({0, 2, 1, 1}).view({1, 2, 2, 1});
  const auto p = torch::softmax(wavy({4, 3}), 1);
  expect_close(chain.log_prob(codes, {}), (p[3][0] * p[0][2] * p[2][1] * p[1][1]).log().unsqueeze(0), 1e-12);
  EXPECT_THROW(chain.log_prob(codes.view({1, 1, 4, 1}), {}), ShapeError);
}

TEST(AutoregressiveCodePrior, GradientIsThatOfTheCrossEntropy) {
  const CodeGrid grid = {.height = 1, .width = 3, .vocabulary = 4};
  const auto codes = scattered_codes(grid, 5);
  expect_gradient_matches([&](const auto& in) { return Chain(grid, in[0]).log_prob(codes, {}); }, {wavy({5, 4})});
}

TEST(AutoregressiveCodePrior, ManyRowsAreTheSame) {
  // More than one block of rows of the cross-entropy.
  const CodeGrid grid = {.height = 10, .width = 10, .vocabulary = 700};
  const auto table = wavy({701, 700}).to(torch::kFloat);
  Chain chain(grid, table.clone());
  const auto codes = scattered_codes(grid, 10);
  const auto logits = chain.logits(codes, {}, floating_arithmetic(), nullptr);
  const auto expected = torch::log_softmax(logits, 2).gather(2, codes.flatten(1).unsqueeze(2)).sum(at::IntArrayRef{1, 2});
  const auto log_prob = chain.log_prob(codes, {});
  expect_close(log_prob, expected, 1e-5);
  const auto parameter = chain.parameters()[0];
  const auto gradients = torch::autograd::grad({expected.sum()}, {parameter});
  expect_close(torch::autograd::grad({log_prob.sum()}, {parameter})[0], gradients[0], 1e-4, 1e-6);
}

/// Every code as likely; remembers how many rows it was asked for at once.
class Flat final : public AutoregressiveCodePrior {
 public:
  Tensor logits(const Tensor& codes, const CodeCondition& condition, Arithmetic&, Step*) override {
    check_shape(condition.label, {codes.size(0)}, "labels");
    rows.push_back(codes.size(0));
    return torch::zeros({codes.size(0), 4, grid_.vocabulary});
  }
  std::unique_ptr<CodeDecoding> start(int64_t, const CodeCondition&, Arithmetic&) override { return nullptr; }
  const CodeGrid& grid() const override { return grid_; }
  std::string summary() const override { return "flat"; }

  std::vector<int64_t> rows = {};

 private:
  CodeGrid grid_ = {.height = 1, .width = 4, .vocabulary = 1 << 21};
};

TEST(AutoregressiveCodePrior, WithoutGradientsFewRowsStandInMemory) {
  Flat flat;
  const torch::NoGradGuard no_grad;
  const auto codes = torch::zeros({6, 1, 4, 1}, torch::kLong);
  expect_close(flat.log_prob(codes, {.label = torch::arange(6)}), -4 * 21 * std::log(2), 1e-5);
  EXPECT_EQ(flat.rows, (std::vector<int64_t>{4, 2}));
}

TEST(AutoregressiveCodePrior, DropoutsSourceIsHandedOverInTrainingOnly) {
  PriorBed bed({.height = 1, .width = 2, .vocabulary = 3});
  Chain chain(bed.grid, wavy({4, 3}));
  for (const bool training : {true, false}) {
    auto step = bed.step(training);
    expect_close(chain.loss(scattered_codes(bed.grid, 2), {}, step).value, -chain.log_prob(scattered_codes(bed.grid, 2), {}),
                 1e-12);
    chain.loss(scattered_codes(bed.grid, 2), {}, step);
    EXPECT_EQ(chain.had_step, training);
  }
}

TEST(AutoregressiveCodePrior, TheCheckOfCausalityCanFail) {
  class Cheat final : public AutoregressiveCodePrior {
   public:
    Tensor logits(const Tensor& codes, const CodeCondition&, Arithmetic&, Step*) override {
      return torch::one_hot(codes.flatten(1), 3).to(torch::kDouble);
    }
    std::unique_ptr<CodeDecoding> start(int64_t, const CodeCondition&, Arithmetic&) override { return nullptr; }
    const CodeGrid& grid() const override { return grid_; }
    std::string summary() const override { return "cheat"; }
    CodeGrid grid_ = {.height = 1, .width = 2, .vocabulary = 3};
  };
  Cheat cheat;
  ::testing::TestPartResultArray failures;
  {
    const ::testing::ScopedFakeTestPartResultReporter reporter(&failures);
    expect_causal(cheat);
    expect_normalised(cheat);
  }
  EXPECT_GE(failures.size(), 3);
}

TEST(AutoregressiveCodePrior, SamplesFollowTheChain) {
  Chain chain({.height = 2, .width = 2, .vocabulary = 3}, wavy({4, 3}).to(torch::kFloat));
  expect_samples_follow(chain);
  expect_greedy_is_argmax(chain);
  Stream noise(1, "sampling", at::kCPU);
  EXPECT_FALSE(chain.sample(2, {}, {}, noise).requires_grad());
}

}  // namespace elbo::code_prior_test
