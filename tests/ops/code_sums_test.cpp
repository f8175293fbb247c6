#include "elbo/ops/code_sums.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/base/error.h"
#include "support/tensors.h"

using namespace elbo;

namespace code_sums_test {
namespace {

TEST(CodeSums, AddUpTheRowsOfEachCode) {
  const auto z = torch::tensor({{1.f, 10.f}, {2.f, 20.f}, {4.f, 40.f}, {8.f, 80.f}});
  const auto index = torch::tensor({2, 0, 2, 2}, torch::kLong);
  const auto sums = code_sums(z, index, 4);
  EXPECT_TRUE(sums.count.equal(torch::tensor({1, 0, 3, 0}, torch::kLong)));
  EXPECT_TRUE(sums.sum.equal(torch::tensor({{2.f, 20.f}, {0.f, 0.f}, {13.f, 130.f}, {0.f, 0.f}})));
}

TEST(CodeSums, LeaveOutWhatTheMaskHides) {
  const auto z = torch::tensor({{1.0}, {2.0}, {4.0}}, torch::kDouble);
  const auto index = torch::tensor({1, -7, 1}, torch::kLong);  // a hidden row's code isn't looked at
  const auto sums = code_sums(z, index, 2, torch::tensor({false, false, true}));
  EXPECT_EQ(sums.sum.scalar_type(), torch::kDouble);
  EXPECT_TRUE(sums.count.equal(torch::tensor({0, 1}, torch::kLong)));
  EXPECT_TRUE(sums.sum.equal(torch::tensor({{0.0}, {4.0}}, torch::kDouble)));
}

TEST(CodeSums, MatchAMatrixProductAndDontDependOnThreads) {
  torch::manual_seed(3);
  constexpr int64_t N = 5000, V = 37, D = 19;
  const auto z = torch::randn({N, D}) + 100;
  const auto index = torch::randint(0, V, {N}, torch::kLong);
  const auto mask = torch::rand({N}) < 0.8;
  const auto assigned = torch::one_hot(index, V).to(torch::kDouble) * mask.unsqueeze(1);
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = code_sums(z, index, V, mask);
  at::set_num_threads(2);
  const auto two = code_sums(z, index, V, mask);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.count.equal(assigned.sum(0).to(torch::kLong)));
  // Summed in float64: only the last rounding is left.
  expect_close(one.sum, assigned.t().mm(z.to(torch::kDouble)).to(torch::kFloat), 1e-7, 0);
  EXPECT_TRUE(one.sum.equal(two.sum));
  EXPECT_TRUE(one.count.equal(two.count));
}

TEST(CodeSums, OfNoRowsAreZero) {
  const auto sums = code_sums(torch::zeros({0, 3}), torch::zeros({0}, torch::kLong), 2);
  EXPECT_TRUE(sums.count.equal(torch::zeros({2}, torch::kLong)));
  EXPECT_TRUE(sums.sum.equal(torch::zeros({2, 3})));
}

TEST(CodeSums, SayWhatIsWrong) {
  const auto message = [](auto call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  };
  const auto z = torch::zeros({2, 3});
  EXPECT_EQ(message([&] {
              code_sums(z, torch::tensor({0, 5}, torch::kLong), 5);
            }),
            "code_sums: row 1 has code 5, expected 0 to 4");
  EXPECT_EQ(message([&] { code_sums(z[0], torch::tensor({0, 5}, torch::kLong), 5); }), "code_sums: z [3], expected [N, D]");
  EXPECT_THAT(message([&] { code_sums(z, torch::zeros({3}, torch::kLong), 5); }), testing::HasSubstr("index of code_sums"));
}

}  // namespace
}  // namespace code_sums_test
