#include "elbo/math/arithmetic.h"

#include <ATen/Parallel.h>

#include <cstdlib>
#include <iostream>

#include "math/exact_numbers.h"
#include "support/child.h"
#include "support/gradients.h"

namespace elbo::arithmetic_test {

using exact_numbers::hash_of;
using exact_numbers::scattered;

Tensor causal_scores(const Tensor& q, const Tensor& k, Arithmetic& arithmetic) {
  const auto future = torch::ones({q.size(-2), k.size(-2)}, torch::kBool).triu(1 + k.size(-2) - q.size(-2));
  return arithmetic.scores(q, k).masked_fill(future, -INFINITY);
}

/// A little of everything, so that one number stands for all operations.
Tensor network(Arithmetic& arithmetic, const Tensor& x, const Tensor& image) {
  const auto d = x.size(-1);
  auto h = arithmetic.layer_norm(x, scattered({d}, 1) + 2, scattered({d}, 2));
  const auto q = arithmetic.linear(h, 0.1 * scattered({d, d}, 3), scattered({d}, 4));
  h = h + arithmetic.attend(arithmetic.softmax(causal_scores(q, h, arithmetic)), q);
  h = h + arithmetic.gelu(h) + arithmetic.elu(-h) * arithmetic.sigmoid(h) + arithmetic.tanh(q);
  const auto convolved = arithmetic.conv(image, scattered({5, image.size(1), 3, 2}, 5), scattered({5}, 6));
  return torch::cat({h.flatten(), convolved.flatten()});
}

Tensor exact_network() { return network(exact_arithmetic(), scattered({3, 11, 96}, 7), scattered({2, 4, 9, 8}, 8)); }

TEST(FloatingArithmetic, IsLibTorchsOwn) {
  auto& a = floating_arithmetic();
  const auto x = wavy({2, 5, 6}).to(torch::kFloat);
  const auto weight = wavy({4, 6}, 1).to(torch::kFloat), bias = wavy({4}, 2).to(torch::kFloat);
  const auto image = wavy({2, 3, 5, 6}).to(torch::kFloat), kernel = wavy({4, 3, 2, 3}, 1).to(torch::kFloat);
  const auto scale = wavy({6}, 3).to(torch::kFloat), shift = wavy({6}, 4).to(torch::kFloat);
  expect_close(a.linear(x, weight, bias), torch::matmul(x, weight.t()) + bias, 1e-5, 1e-6);
  expect_close(a.linear(x, weight, {}), torch::matmul(x, weight.t()), 1e-5, 1e-6);
  expect_close(a.conv(image, kernel, bias), torch::conv2d(image, kernel, bias), 1e-6);
  expect_close(a.scores(x, x), torch::matmul(x, x.transpose(1, 2)) / std::sqrt(6), 1e-5, 1e-6);
  expect_close(a.softmax(x), torch::softmax(x, -1), 1e-6);
  expect_close(a.attend(torch::softmax(a.scores(x, x), -1), x), torch::scaled_dot_product_attention(x, x, x), 1e-5, 1e-6);
  expect_close(a.layer_norm(x, scale, shift), (x - x.mean(-1, true)) / (x.var(-1, false, true) + 1e-5).sqrt() * scale + shift,
               1e-4, 1e-5);
  expect_close(a.sigmoid(x), 1 / (1 + (-x).exp()), 1e-6);
  expect_close(a.tanh(x), torch::tanh(x), 1e-6);
  expect_close(a.elu(x), torch::where(x > 0, x, x.exp() - 1), 1e-5, 1e-7);
  expect_close(a.gelu(x), 0.5 * x * (1 + torch::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x.pow(3)))), 1e-5, 1e-7);
}

TEST(FloatingArithmetic, ARowWithoutKeysHasNoWeightAndNoGradient) {
  auto scores = values({0.5, -INFINITY, 1, -INFINITY, -INFINITY, -INFINITY}, {2, 3}).requires_grad_();
  const auto weights = floating_arithmetic().softmax(scores);
  expect_close(weights[1], 0.0);
  expect_close(weights[0], torch::softmax(scores[0], 0), 1e-12);
  const auto gradient = gradient_of(weights * wavy({2, 3}), scores);
  expect_finite(gradient);
  expect_close(gradient[1], 0.0);
  EXPECT_GT(gradient[0][0].abs().item<double>(), 1e-3);
}

TEST(ExactArithmetic, IsCloseToFloating) {
  auto &exact = exact_arithmetic(), &floating = floating_arithmetic();
  const auto x = 3 * wavy({7, 40}), weight = wavy({9, 40}, 1), bias = wavy({9}, 2);
  const auto image = wavy({2, 3, 7, 6}), kernel = wavy({5, 3, 3, 2}, 1);
  const auto near = [](const Tensor& actual, const Tensor& expected) { expect_close(actual, expected, 1e-5, 1e-5); };
  near(exact.linear(x, weight, bias), floating.linear(x, weight, bias));
  near(exact.linear(x.to(torch::kFloat), weight.to(torch::kFloat), {}), floating.linear(x, weight, {}));
  near(exact.conv(image, kernel, wavy({5})), floating.conv(image, kernel, wavy({5})));
  near(exact.scores(x, x), floating.scores(x, x));
  const auto weights = floating.softmax(causal_scores(x, x, floating));
  near(exact.softmax(causal_scores(x, x, floating)), weights);
  near(exact.attend(weights, x), floating.attend(weights, x));
  near(exact.layer_norm(x + 5, wavy({40}), wavy({40}, 1)), floating.layer_norm(x + 5, wavy({40}), wavy({40}, 1)));
  near(network(exact, wavy({2, 5, 24}), image), network(floating, wavy({2, 5, 24}), image));
}

TEST(ExactArithmetic, ElementwiseFunctionsAreAccurate) {
  auto &exact = exact_arithmetic(), &floating = floating_arithmetic();
  const auto x =
      torch::cat({torch::linspace(-60, 60, 4001, torch::kDouble), values({0, 1e-9, -1e-9, 300, -300, INFINITY, -INFINITY})});
  expect_close(exact.sigmoid(x), floating.sigmoid(x), 1e-11, 1e-26);
  expect_close(exact.tanh(x), floating.tanh(x), 1e-11, 1e-12);
  expect_close(exact.elu(x), floating.elu(x), 1e-11, 1e-12);
  const auto finite = x.narrow(0, 0, 4005);
  expect_close(exact.gelu(finite), floating.gelu(finite), 1e-10, 1e-12);
}

TEST(ExactArithmetic, HoldsRowsOfAnySize) {
  const auto sizes = values({1e-30, 1, 1e30, 0, 1e-200}).view({5, 1});
  const auto x = sizes * wavy({5, 12}), weight = wavy({4, 12}, 1);
  const auto product = exact_arithmetic().linear(x, weight, {});
  expect_close(product.narrow(0, 0, 3), torch::matmul(x, weight.t()).narrow(0, 0, 3), 1e-4, 0);
  expect_close(product.narrow(0, 3, 2), 0.0);
  expect_close(exact_arithmetic().linear(x, torch::zeros({4, 12}), {}), 0.0);
  expect_close(exact_arithmetic().layer_norm(torch::full({2, 3}, 7.0), torch::ones({3}), torch::full({3}, 2.0)), 2.0, 1e-6);
}

TEST(ExactArithmetic, ARowWithoutKeysHasNoWeight) {
  const auto weights = exact_arithmetic().softmax(values({0, -INFINITY, -INFINITY, -INFINITY}, {2, 2}));
  expect_equal(weights, values({1, 0, 0, 0}, {2, 2}));
}

TEST(ExactArithmetic, DoesNotDependOnTheOrderOfASum) {
  auto& a = exact_arithmetic();
  const auto order = (torch::arange(3001) * 1009).remainder(3001);
  const auto x = scattered({6, 3001}), weight = scattered({5, 3001}, 1);
  const auto shuffled = x.index_select(1, order);
  const auto expected = a.linear(x, weight, {});
  EXPECT_TRUE(a.linear(shuffled, weight.index_select(1, order), {}).equal(expected));
  EXPECT_FALSE(torch::matmul(shuffled, weight.index_select(1, order).t()).equal(torch::matmul(x, weight.t())))
      << "the check can't fail";
  EXPECT_TRUE(a.softmax(shuffled).equal(a.softmax(x).index_select(1, order)));
  const auto ones = torch::ones({3001}), zeros = torch::zeros({3001});
  EXPECT_TRUE(a.layer_norm(shuffled, ones, zeros).equal(a.layer_norm(x, ones, zeros).index_select(1, order)));
  const auto v = 90 * scattered({3001, 4}, 2);
  EXPECT_TRUE(a.attend(a.softmax(shuffled), v.index_select(0, order)).equal(a.attend(a.softmax(x), v)));
}

TEST(ExactArithmetic, LongRowsAreSummedInParts) {
  const auto x = scattered({3, 20000}), weight = scattered({2, 20000}, 1);
  expect_close(exact_arithmetic().linear(x, weight, {}), torch::matmul(x, weight.t()), 1e-5, 1e-3);
  const auto order = torch::cat({torch::arange(8192).flip(0), torch::arange(8192, 20000)});  // within a part
  EXPECT_TRUE(exact_arithmetic()
                  .linear(x.index_select(1, order), weight.index_select(1, order), {})
                  .equal(exact_arithmetic().linear(x, weight, {})));
  // All products as large as they come, and one unit more.
  auto largest = torch::full({1, 8192}, 1 - 0x1p-20, torch::kDouble);
  EXPECT_EQ(exact_arithmetic().linear(largest, largest, {}).item<double>(), 8192 * (1 - 0x1p-20) * (1 - 0x1p-20));
}

TEST(ExactArithmetic, ThreadsAndBatchesDoNotMatter) {
  const int threads = at::get_num_threads();
  const auto expected = exact_network();
  for (const int n : {1, 2, 4}) {
    at::set_num_threads(n);
    EXPECT_TRUE(exact_network().equal(expected)) << n << " threads";
  }
  at::set_num_threads(threads);
  const auto x = scattered({3, 11, 96}, 7), image = scattered({3, 4, 9, 8}, 8);
  std::vector<Tensor> rows, convolved;
  for (int64_t b = 0; b < 3; ++b) {
    rows.push_back(network(exact_arithmetic(), x.narrow(0, b, 1), scattered({1, 4, 9, 8})).narrow(0, 0, 11 * 96));
    convolved.push_back(exact_arithmetic().conv(image.narrow(0, b, 1), scattered({5, 4, 3, 2}, 5), {}));
  }
  EXPECT_TRUE(torch::cat(rows).equal(expected.narrow(0, 0, 3 * 11 * 96)));
  EXPECT_TRUE(torch::cat(convolved).equal(exact_arithmetic().conv(image, scattered({5, 4, 3, 2}, 5), {})));
}

TEST(ExactArithmetic, AnAbsentKeyIsTheSameAsAMaskedOne) {
  auto& a = exact_arithmetic();
  const auto q = scattered({2, 9, 16}), k = 3 * scattered({2, 9, 16}, 1), v = 50 * scattered({2, 9, 16}, 2);
  const auto whole = a.attend(a.softmax(causal_scores(q, k, a)), v);
  for (int64_t t = 0; t < 9; ++t) {
    const auto scores = a.scores(q.narrow(1, t, 1), k.narrow(1, 0, t + 1));
    EXPECT_TRUE(a.attend(a.softmax(scores), v.narrow(1, 0, t + 1)).equal(whole.narrow(1, t, 1))) << t;
  }
}

TEST(ExactArithmetic, APatchOfAConvolutionIsARow) {
  const auto image = scattered({1, 3, 6, 6}), kernel = scattered({4, 3, 2, 3}, 1), bias = scattered({4}, 2);
  const auto whole = exact_arithmetic().conv(image, kernel, bias);
  const auto patch = image.slice(2, 3, 5).slice(3, 1, 4);
  EXPECT_TRUE(exact_arithmetic().conv(patch, kernel, bias)[0].flatten().equal(whole[0].select(1, 3).select(1, 1)));
  EXPECT_TRUE(exact_arithmetic().linear(patch.flatten(1), kernel.flatten(1), bias)[0].equal(whole[0].select(1, 3).select(1, 1)));
}

TEST(ExactArithmetic, FixedWeightsGiveTheSameBits) {
  const auto fixed = exact_arithmetic_of_fixed_weights();
  const auto weight = scattered({6, 6}, 1), x = scattered({3, 6});
  const auto product = [&](Arithmetic& arithmetic, const Tensor& of) { return arithmetic.linear(x, of, {}); };
  for (int round = 0; round < 2; ++round) {
    // All in the same memory.
    for (const auto& of : {weight, weight.t(), weight.narrow(0, 0, 3), weight.view({3, 12}).narrow(1, 0, 6)}) {
      EXPECT_TRUE(product(*fixed, of).equal(product(exact_arithmetic(), of)));
    }
    for (int64_t salt = 0; salt < 1500; ++salt) {  // more than are kept, in memory that is free again
      const auto fresh = scattered({2, 6}, salt);
      ASSERT_TRUE(product(*fixed, fresh).equal(product(exact_arithmetic(), fresh))) << salt;
    }
  }
  const auto expected = product(*fixed, weight);
  weight.mul_(2);  // what must not be done shows that nothing is rounded twice
  EXPECT_TRUE(product(*fixed, weight).equal(expected));
  EXPECT_TRUE(product(exact_arithmetic(), weight).equal(2 * expected));
  EXPECT_TRUE(network(*fixed, scattered({3, 11, 96}, 7), scattered({2, 4, 9, 8}, 8)).equal(exact_network()));
}

TEST(ExactArithmetic, HasNoGradient) {
  auto x = wavy({2, 3}).requires_grad_();
  EXPECT_FALSE(exact_arithmetic().linear(x, x, {}).requires_grad());
}

/// Said by this test, and compared by the next one's children of other instruction sets.
TEST(ExactArithmetic, SaysItsHash) {
  if (std::getenv("ELBO_TEST_SAY_HASH")) std::cout << "hash " << hash_of(exact_network()) << std::endl;
}

TEST(ExactArithmetic, InstructionSetsDoNotMatter) {
  const std::vector<std::string> expected = {std::to_string(hash_of(exact_network()))};
  for (const auto& instructions : other_instruction_sets()) {
    EXPECT_EQ(lines_of_child("ELBO_TEST_SAY_HASH=1 " + instructions, "ExactArithmetic.SaysItsHash", "hash "), expected)
        << instructions;
  }
}

}  // namespace elbo::arithmetic_test
