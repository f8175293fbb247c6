#include "elbo/ops/nearest_code.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "elbo/base/error.h"
#include "support/tensors.h"

using namespace elbo;

namespace nearest_code_test {
namespace {

struct Case {
  int64_t N, V, D;
};

/// Every index is brute force's in float64, or a code that is as near but for rounding.
void expect_nearest(const Nearest& found, const Tensor& z, const Tensor& codes, const Tensor& index, const std::string& what) {
  const auto distances = torch::cdist(z.to(torch::kDouble), codes.to(torch::kDouble), 2, 2).square();
  const auto best = std::get<0>(distances.min(1));
  const auto ours = distances.gather(1, index.unsqueeze(1)).squeeze(1);
  EXPECT_TRUE((ours <= best * (1 + 1e-5) + 1e-12).all().item<bool>()) << what;
  if (index.is_same(found.index)) expect_close(found.distance.to(torch::kDouble), ours, 1e-5, 1e-10);
}

TEST(NearestCode, IsBruteForces) {
  torch::manual_seed(1);
  for (const auto type : {torch::kFloat, torch::kDouble}) {
    for (const auto [N, V, D] :
         {Case{1, 1, 1}, {7, 1, 3}, {65, 33, 1}, {100, 31, 2}, {129, 97, 7}, {300, 512, 64}, {77, 1000, 16}, {50, 70, 300}}) {
      const auto what = shape_text({N, V, D});
      const auto z = torch::randn({N, D}, type) + 3, codes = torch::randn({V, D}, type) + 3;  // off the origin: cancellation
      const auto found = nearest_code(z, codes);
      expect_nearest(found, z, codes, found.index, what);
      EXPECT_EQ(found.not_finite.item<int64_t>(), 0);
      EXPECT_FALSE(found.second.defined());
      const auto two = nearest_two_codes(z, codes);
      EXPECT_TRUE(two.index.equal(found.index));
      if (V == 1) {
        EXPECT_TRUE((two.second == -1).all().item<bool>());
      } else {
        auto distances = torch::cdist(z.to(torch::kDouble), codes.to(torch::kDouble), 2, 2).square();
        const auto second = distances.gather(1, two.second.unsqueeze(1)).squeeze(1);
        EXPECT_FALSE((two.second == two.index).any().item<bool>());
        const auto wanted = std::get<0>(distances.kthvalue(2, 1));
        EXPECT_TRUE((second <= wanted * (1 + 1e-5)).all().item<bool>()) << what;
      }
    }
  }
}

TEST(NearestCode, TakesTheLowestIndexOfEquals) {
  torch::manual_seed(2);
  const auto once = torch::randn({40, 8});
  const auto codes = torch::cat({once, once, once});
  const auto z = torch::randn({500, 8});
  const auto found = nearest_two_codes(z, codes);
  EXPECT_TRUE((found.index < 40).all().item<bool>());
  EXPECT_TRUE(found.second.equal(found.index + 40));
}

TEST(NearestCode, CountsRowsThatAreNotFinite) {
  const double nan = std::numeric_limits<double>::quiet_NaN(), infinity = std::numeric_limits<double>::infinity();
  const auto codes = torch::tensor({{5.f, 5.f}, {0.f, 0.f}});
  auto z = torch::zeros({5, 2});
  z[1][0] = nan;
  z[2][1] = infinity;
  z[3][0] = -1e30;
  const auto found = nearest_code(z, codes);
  EXPECT_TRUE(found.index.equal(torch::tensor({1, 0, 0, 0, 1}, torch::kLong)));
  EXPECT_EQ(found.not_finite.item<int64_t>(), 3);
}

TEST(NearestCode, DoesntDependOnThreads) {
  torch::manual_seed(4);
  const auto z = torch::randn({3001, 24}), codes = torch::randn({700, 24});
  const int threads = at::get_num_threads();
  at::set_num_threads(1);
  const auto one = nearest_two_codes(z, codes);
  at::set_num_threads(2);
  const auto two = nearest_two_codes(z, codes);
  at::set_num_threads(threads);
  EXPECT_TRUE(one.index.equal(two.index));
  EXPECT_TRUE(one.second.equal(two.second));
  EXPECT_TRUE(one.distance.equal(two.distance));
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
