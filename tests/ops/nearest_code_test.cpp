#include "elbo/ops/nearest_code.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/base/error.h"
#include "elbo/ops/instructions.h"
#include "support/tensors.h"

using namespace elbo;

namespace nearest_code_test {
namespace {

struct Case {
  int64_t N, V, D;
};

std::vector<Instructions> instructions_here() {
  std::vector<Instructions> all;
  for (const auto one : {Instructions::portable, Instructions::avx2, Instructions::avx512}) {
    if (one <= best_instructions()) all.push_back(one);
  }
  return all;
}

Tensor all_distances(const Tensor& z, const Tensor& codes) {
  return (z.to(torch::kDouble).unsqueeze(1) - codes.to(torch::kDouble)).square().sum(2);
}

/// Brute force in float64; another code is right only where the two best differ by less than 1e-5.
void expect_nearest(const Nearest& found, const Tensor& z, const Tensor& codes) {
  const auto distances = all_distances(z, codes);
  const auto [best, index] = distances.min(1);
  const auto ours = distances.gather(1, found.index.unsqueeze(1)).squeeze(1);
  EXPECT_TRUE(((found.index == index) | (ours <= best * (1 + 1e-5) + 1e-12)).all().item<bool>());
  EXPECT_GT((found.index == index).to(torch::kDouble).mean().item<double>(), 0.95);
  expect_close(found.distance.to(torch::kDouble), ours, 1e-5, 1e-10);
  EXPECT_EQ(found.not_finite.item<int64_t>(), 0);
}

const std::vector<Case> kCases = {{1, 1, 1},      {7, 1, 3},     {65, 33, 1},   {100, 31, 2}, {129, 97, 3},
                                  {50, 64, 4},    {40, 200, 5},  {41, 65, 6},   {129, 97, 7}, {300, 512, 64},
                                  {77, 1000, 16}, {50, 70, 300}, {13, 40, 1030}};

TEST(NearestCode, IsBruteForcesWithEachInstructionSet) {
  torch::manual_seed(1);
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    for (const auto& [N, V, D] : kCases) {
      SCOPED_TRACE(shape_text({N, V, D}) + " instructions " + std::to_string(static_cast<int>(instructions)));
      const auto z = torch::randn({N, D}) + 3, codes = torch::randn({V, D}) + 3;  // off the origin: cancellation
      const auto found = nearest_code(z, codes);
      expect_nearest(found, z, codes);
      EXPECT_FALSE(found.second.defined());
    }
  }
}

TEST(NearestCode, IsBruteForcesInFloat64) {
  torch::manual_seed(1);
  for (const auto& [N, V, D] : kCases) {
    SCOPED_TRACE(shape_text({N, V, D}));
    const auto z = torch::randn({N, D}, torch::kDouble) + 3, codes = torch::randn({V, D}, torch::kDouble) + 3;
    const auto found = nearest_code(z, codes);
    EXPECT_TRUE(found.index.equal(all_distances(z, codes).argmin(1)));
    EXPECT_EQ(found.distance.scalar_type(), torch::kDouble);
  }
}

TEST(NearestCode, StaysExactFarFromTheOrigin) {
  torch::manual_seed(5);
  const auto z = torch::randn({400, 8}) + 1000, codes = torch::randn({300, 8}) + 1000;
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    const auto found = nearest_code(z, codes);
    EXPECT_TRUE(found.index.equal(all_distances(z, codes).argmin(1)));
  }
}

TEST(NearestCode, FindsTheSecondBest) {
  torch::manual_seed(6);
  for (const auto& [N, V, D] : kCases) {
    SCOPED_TRACE(shape_text({N, V, D}));
    const auto z = torch::randn({N, D}), codes = torch::randn({V, D});
    const auto two = nearest_two_codes(z, codes);
    EXPECT_TRUE(two.index.equal(nearest_code(z, codes).index));
    if (V == 1) {
      EXPECT_TRUE((two.second == -1).all().item<bool>());
      continue;
    }
    const auto distances = all_distances(z, codes);
    const auto second = distances.gather(1, two.second.unsqueeze(1)).squeeze(1);
    EXPECT_FALSE((two.second == two.index).any().item<bool>());
    EXPECT_TRUE((second <= std::get<0>(distances.kthvalue(2, 1)) * (1 + 1e-5)).all().item<bool>());
  }
}

TEST(NearestCode, TakesTheLowestIndexOfEquals) {
  torch::manual_seed(2);
  const auto once = torch::randn({40, 8});
  const auto codes = torch::cat({once, once, once});
  const auto z = torch::randn({500, 8});
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    for (const auto instructions : instructions_here()) {
      const InstructionsScope scope(instructions);
      const auto found = nearest_two_codes(z.to(type), codes.to(type));
      EXPECT_TRUE((found.index < 40).all().item<bool>());
      EXPECT_TRUE(found.second.equal(found.index + 40));
      // All at the same distance, in every lane of a vector.
      EXPECT_TRUE((nearest_code(torch::ones({30, 3}, type), torch::zeros({100, 3}, type)).index == 0).all().item<bool>());
    }
  }
}

TEST(NearestCode, CountsRowsThatAreNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  auto codes = torch::tensor({{5.f, 5.f}, {0.f, 0.f}, {0.f, 0.f}, {1.f, 1.f}});
  codes[2][0] = nan;  // is never chosen
  codes[3][1] = infinity;
  auto z = torch::zeros({5, 2});
  z[1][0] = nan;
  z[2][1] = infinity;
  z[3][0] = -1e30;
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    for (const auto instructions : instructions_here()) {
      const InstructionsScope scope(instructions);
      const auto found = nearest_code(z.to(type), codes.to(type));
      const int64_t far = type == torch::kDouble ? 1 : 0;  // float64 has room for (1e30)^2
      EXPECT_TRUE(found.index.equal(torch::tensor({int64_t{1}, int64_t{0}, int64_t{0}, far, int64_t{1}}))) << found.index;
      EXPECT_EQ(found.not_finite.item<int64_t>(), 3 - far);
    }
  }
}

TEST(NearestCode, DoesntDependOnThreads) {
  torch::manual_seed(4);
  const auto z = torch::randn({3001, 24}), codes = torch::randn({700, 24});
  const int threads = at::get_num_threads();
  for (const auto instructions : instructions_here()) {
    const InstructionsScope scope(instructions);
    at::set_num_threads(1);
    const auto one = nearest_code(z, codes);
    at::set_num_threads(2);
    const auto two = nearest_code(z, codes);
    at::set_num_threads(threads);
    EXPECT_TRUE(one.index.equal(two.index));
    EXPECT_TRUE(one.distance.equal(two.distance));
  }
}

TEST(NearestCode, HasNoGradientAndTakesAnyFloat) {
  const auto z = torch::tensor({{0.9f}, {2.2f}}).set_requires_grad(true), codes = torch::tensor({{1.f}, {2.f}});
  const auto found = nearest_code(z.to(torch::kBFloat16), codes);
  EXPECT_TRUE(found.index.equal(torch::tensor({0, 1}, torch::kLong)));
  EXPECT_EQ(found.distance.scalar_type(), torch::kFloat);
  EXPECT_FALSE(found.distance.requires_grad());
  EXPECT_EQ(nearest_code(torch::zeros({0, 1}), codes).index.size(0), 0);
}

TEST(NearestCode, SaysWhatIsWrong) {
  const auto message = [](const Tensor& z, const Tensor& codes) -> std::string {
    try {
      nearest_code(z, codes);
    } catch (const ShapeError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message(torch::zeros({2, 3}), torch::zeros({4, 2})),
            "nearest_code: z [2, 3] and codes [4, 2], expected [N, D] and [V, D]; flatten the positions into rows first");
  EXPECT_EQ(message(torch::zeros({2, 3}), torch::zeros({0, 3})),
            "nearest_code: z [2, 3] and codes [0, 3]: there is no code to choose from");
}

}  // namespace
}  // namespace nearest_code_test
