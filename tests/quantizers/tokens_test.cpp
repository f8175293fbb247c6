#include "elbo/quantizers/tokens.h"

#include "support/gradients.h"

namespace elbo::tokens_test {

TEST(Tokens, APlaceOfAMapIsItsChannels) {
  const auto map = torch::arange(2 * 3 * 2 * 2, torch::kFloat).view({2, 3, 2, 2});
  const auto tokens = to_tokens(map);
  expect_equal(tokens[1][0][1], torch::stack({map[1][0][0][1], map[1][1][0][1], map[1][2][0][1]}));
  expect_equal(to_rows(tokens)[1], torch::tensor({1.0f, 5.0f, 9.0f}));  // not a run of pixels, 3 4 5
  expect_equal(to_map(tokens), map);
}

TEST(Tokens, RowsAreInFullPrecision) {
  const auto tokens = wavy({2, 3, 4});
  EXPECT_EQ(to_rows(tokens.to(torch::kBFloat16)).scalar_type(), torch::kFloat);
  EXPECT_EQ(to_rows(tokens).scalar_type(), torch::kDouble);
  expect_equal(to_rows(tokens), tokens.view({6, 4}));
  expect_equal(to_rows(wavy({5, 4})), wavy({5, 4}));
}

TEST(Tokens, SumsAreOfAnExamplesTokensThatCount) {
  const auto per_token = values({1, 2, NAN, 4, 5, 6}, {2, 3});
  const auto mask = torch::tensor({1, 1, 0, 0, 1, 1}).to(torch::kBool).view({2, 3});
  expect_close(sum_tokens(per_token, mask), values({3, 11}), 0);
  expect_close(sum_tokens(values({1, 2, 3, 4, 5, 6}, {2, 3}), {}), values({6, 15}), 0);
  expect_close(sum_tokens(values({1, 2}), {}), values({1, 2}), 0);  // a row is an example
  EXPECT_EQ(elements_of(wavy({2, 3, 4})), 12);
  EXPECT_EQ(elements_of(wavy({2, 4})), 4);
}

TEST(Tokens, TheSquaredErrorIsASumOverTokensAndNumbers) {
  const auto z = values({1, 2, 3, 4, 5, 6, 7, 8}, {2, 2, 2}), code = torch::ones({2, 2, 2}, torch::kDouble);
  expect_close(squared_error(z, code, {}), values({0 + 1 + 4 + 9, 16 + 25 + 36 + 49}), 0);
  const auto mask = torch::tensor({0, 1, 1, 0}).to(torch::kBool).view({2, 2});
  expect_close(squared_error(z, code, mask), values({13, 41}), 0);
  expect_gradient_matches([&](const std::vector<Tensor>& inputs) { return squared_error(inputs[0], inputs[1], mask); },
                          {z, code});
}

TEST(Tokens, CountedRowsAreThoseOfTheMaskInTheirOrder) {
  const auto z = wavy({2, 2, 3});
  const auto mask = torch::tensor({0, 1, 1, 1}).to(torch::kBool).view({2, 2});
  expect_equal(counted_rows(z, mask), z.view({4, 3}).narrow(0, 1, 3));
  expect_equal(counted_rows(z, {}), z.view({4, 3}));
}

}  // namespace elbo::tokens_test
