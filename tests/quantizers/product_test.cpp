#include "elbo/quantizers/product.h"

#include <set>

#include "elbo/base/error.h"
#include "elbo/ops/nearest_code.h"
#include "elbo/quantizers/ema.h"
#include "elbo/quantizers/fsq.h"
#include "elbo/quantizers/lattice.h"
#include "elbo/quantizers/lfq.h"
#include "elbo/quantizers/vq.h"
#include "quantizer_steps.h"
#include "support/gradients.h"

namespace elbo::product_test {

template <class Config>
QuantizerChoice choice_of(const std::string& type, const Config& config) {
  QuantizerChoice choice{quantizers, type};
  choice.set(type, config);
  return choice;
}
QuantizerChoice vq_choice(int64_t codes, int64_t size) { return choice_of("vq", VqConfig{.codes = codes, .code_size = size}); }

std::shared_ptr<Quantizer> product_of(const ProductConfig& config, uint64_t seed = 1) {
  QuantizerSteps steps(seed);
  return make_product(config, steps.context());
}
Tensor tokens(at::IntArrayRef shape, double phase = 0) { return (wavy(shape, phase) * 1.5).to(torch::kFloat); }

TEST(Product, OfOneGroupIsItsQuantizer) {
  QuantizerSteps steps;
  const auto vq = make_vq({.codes = 12, .code_size = 4}, steps.context());
  const auto product = product_of({.groups = 1, .quantizer = vq_choice(12, 4)});
  expect_equal(product->codebook(), vq->codebook());
  const auto z = tokens({3, 5, 4});
  const auto one = QuantizerSteps().forward(*product, z), other = QuantizerSteps().forward(*vq, z);
  expect_equal(one.value, other.value);
  expect_equal(one.indices, other.indices);
  expect_equal(term_of(one, "group0/commitment").value, term_of(other, "commitment").value);
  EXPECT_EQ(term_of(one, "group0/commitment").elements, term_of(other, "commitment").elements);
}

TEST(Product, ChoosesAsACodebookOfAllPairsWould) {
  const auto product = product_of({.groups = 2, .quantizer = vq_choice(5, 3)});
  const auto first = product->codebook(0), second = product->codebook(1);
  EXPECT_FALSE(first.equal(second));
  const auto pairs = torch::cat({first.repeat_interleave(5, 0), second.repeat({5, 1})}, 1).detach();
  const auto z = tokens({40, 6});
  const auto quantized = QuantizerSteps().forward(*product, z);
  const auto best = nearest_code(z, pairs).index;
  expect_equal(quantized.indices.select(1, 0) * 5 + quantized.indices.select(1, 1), best);
  expect_equal(quantized.value, pairs.index_select(0, best));
  EXPECT_EQ(product->code_space().sizes, Shape({5, 5}));
  EXPECT_NEAR(product->code_space().bits_per_token(), 2 * std::log2(5), 1e-12);
  EXPECT_NEAR(product->code_length(quantized.indices)[0].item<double>(), 2 * std::log(5), 1e-6);
}

TEST(Product, GroupsThatChangePlacesTakeTheirIndicesAlong) {
  const auto product = product_of({.groups = 2, .quantizer = vq_choice(7, 2)});
  const auto swapped = product_of({.groups = 2, .quantizer = vq_choice(7, 2)});
  set(*swapped, "quantizers.0.codes", product->codebook(1).detach().clone());
  set(*swapped, "quantizers.1.codes", product->codebook(0).detach().clone());
  const auto z = tokens({30, 4});
  expect_equal(swapped->encode(z.roll(2, 1)), product->encode(z).flip(1));
}

TEST(Product, TermsAreThoseOfTheGroupsAndTheirMeanIsOverAllNumbers) {
  const auto product = product_of({.groups = 3, .quantizer = vq_choice(4, 2)});
  const auto z = tokens({2, 5, 6});
  const auto quantized = QuantizerSteps().forward(*product, z);
  auto sum = torch::zeros({2}), mean = torch::zeros({2});
  for (const auto* name : {"group0/commitment", "group1/commitment", "group2/commitment"}) {
    const auto& term = term_of(quantized, name);
    sum = sum + term.value;
    mean = mean + term.value / term.elements;
  }
  const auto error = (z - quantized.value).square().flatten(1);
  expect_close(sum, error.sum(1), 1e-5);
  expect_close(mean, error.mean(1), 1e-5);
  std::set<std::string> names;
  for (const auto& number : product->scheduled()) names.insert(number.name());
  EXPECT_EQ(names.size(), 6u);
  EXPECT_TRUE(names.contains("group2/commitment"));
}

TEST(Product, ASharedQuantizerServesEveryGroup) {
  const auto shared = product_of({.groups = 3, .quantizer = vq_choice(6, 2), .shared = true});
  EXPECT_EQ(shared->parameters().size(), 1u);
  const auto each = product_of({.groups = 3, .quantizer = vq_choice(6, 2)});
  for (const auto* name : {"quantizers.0.codes", "quantizers.1.codes", "quantizers.2.codes"}) {
    set(*each, name, shared->codebook().detach().clone());
  }
  auto z = tokens({2, 5, 6});
  z[0][1].fill_(NAN);
  auto mask = torch::ones({2, 5}, torch::kBool);
  mask[0][1] = false;
  const auto one = QuantizerSteps().forward(*shared, z, mask), other = QuantizerSteps().forward(*each, z, mask);
  expect_equal(one.value, other.value);
  expect_equal(one.indices, other.indices);
  expect_equal(shared->decode(one.indices), one.value);
  expect_equal(shared->encode(z[1]), each->encode(z[1]));
  expect_close(weighted_loss(one), weighted_loss(other), 1e-6);
  EXPECT_EQ(term_of(one, "commitment").elements, 30);
  EXPECT_EQ(shared->scheduled().size(), 2u);
  EXPECT_EQ(shared->code_space().sizes, Shape({6, 6, 6}));
  EXPECT_NEAR(shared->code_length(one.indices)[0].item<double>(), 12 * std::log(6), 1e-5);
}

TEST(Product, TheDecodersGradientPassesUnchanged) {
  for (const bool shared : {false, true}) {
    const auto product = product_of({.groups = 3, .quantizer = vq_choice(6, 2), .shared = shared});
    const auto z = tokens({2, 5, 6}).set_requires_grad(true);
    const auto upstream = tokens({2, 5, 6}, 0.3);
    expect_equal(gradient_of(upstream * QuantizerSteps().forward(*product, z).value, z), upstream);
  }
}

TEST(Product, ARotationIsOrthogonalAndUndone) {
  const auto product = product_of({.groups = 4, .quantizer = vq_choice(16, 2), .rotation = ProductRotation::random});
  const auto rotation = product->named_buffers()["rotation"];
  expect_close(torch::matmul(rotation, rotation.t()), torch::eye(8), 0, 1e-6);
  EXPECT_GT(rotation.abs().min().item<double>(), 0);
  EXPECT_FALSE(product_of({.groups = 4, .quantizer = vq_choice(16, 2), .rotation = ProductRotation::random}, 2)
                   ->named_buffers()["rotation"]
                   .equal(rotation));
  const auto z = tokens({3, 7, 8}).set_requires_grad(true);
  const auto quantized = QuantizerSteps().evaluate(*product, z);
  expect_equal(product->decode(quantized.indices), quantized.value);
  const auto upstream = tokens({3, 7, 8}, 0.3);
  expect_close(gradient_of(upstream * quantized.value, z), upstream, 1e-5, 1e-6);
  // A lattice so fine that hardly anything is lost shows that the way back is the inverse.
  const auto fine = product_of(
      {.groups = 2, .quantizer = choice_of("lattice", LatticeConfig{.code_size = 4}), .rotation = ProductRotation::random});
  for (auto& cells : fine->parameters()) cells.data().fill_(1e-3);
  expect_close(QuantizerSteps().evaluate(*fine, z.detach()).value, z, 0, 1.5e-3);
}

TEST(Product, InitialisesEachGroupOnItsOwnNumbers) {
  const auto product = product_of({.groups = 2, .quantizer = choice_of("ema", EmaConfig{.codes = 2, .code_size = 1})});
  QuantizerSteps steps;
  steps.initialise(*product, floats({0, 100, 1, 101, 10, 300, 12, 302}, {4, 2}));
  expect_close(std::get<0>(product->codebook(0).flatten().sort()), values({0.5, 11}), 1e-6);
  expect_close(std::get<0>(product->codebook(1).flatten().sort()), values({100.5, 301}), 1e-6);
}

// The trainer calls after_step of every module below the model: the product itself must not.
TEST(Product, LeavesTheStepOfItsQuantizersToTheTrainer) {
  const auto product = product_of({.groups = 2, .quantizer = choice_of("ema", EmaConfig{.codes = 3, .code_size = 2})});
  QuantizerSteps steps;
  steps.forward(*product, tokens({20, 4}));
  const auto before = product->codebook(1).clone();
  steps.after_step(*product);
  expect_equal(product->codebook(1), before);
  int64_t stepped = 0;
  for (const auto& module : product->modules(/*include_self=*/false)) {
    if (auto* child = dynamic_cast<Quantizer*>(module.get())) {
      steps.after_step(*child);
      ++stepped;
    }
  }
  EXPECT_EQ(stepped, 2);
  EXPECT_FALSE(product->codebook(1).equal(before));
}

TEST(Product, TakesMoreBitsThanAnIndexHolds) {
  const auto product = product_of({.groups = 3, .quantizer = choice_of("lfq", LfqConfig{.code_size = 60})});
  EXPECT_EQ(product->code_space().bits_per_token(), 180);
  const auto z = tokens({4, 180});
  expect_equal(product->decode(product->encode(z)), z.gt(0).to(torch::kFloat) * 2 - 1);
}

TEST(Product, PricesTheCoordinatesOfLatticesByTheirCode) {
  const auto product = product_of({.groups = 2, .quantizer = choice_of("lattice", LatticeConfig{.code_size = 2})});
  EXPECT_FALSE(product->code_space().bounded());
  expect_close(product->code_length(torch::tensor({0, 1, -1, 3}).view({1, 4})), (1 + 3 + 3 + 5) * std::log(2.0), 1e-6);
}

TEST(Product, IsReadFromAFileWithTheQuantizerOfItsGroups) {
  QuantizerChoice choice{quantizers, "product"};
  EXPECT_EQ(choice.config_as<ProductConfig>()->quantizer.type(), "ema");
  QuantizerSteps steps;
  EXPECT_EQ(choice.make(steps.context())->code_space().input_size, 4 * 64);
}

}  // namespace elbo::product_test
