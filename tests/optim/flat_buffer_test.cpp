#include "elbo/optim/flat_buffer.h"

#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "support/tensors.h"

using namespace elbo;

namespace flat_buffer_test {
namespace {

Tensor leaf(at::IntArrayRef shape, double phase = 0) { return wavy(shape, phase).to(torch::kFloat).set_requires_grad(true); }

std::string error_of(const std::vector<ParameterSet>& owners) {
  try {
    FlatBuffers buffers(owners);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace

TEST(FlatBuffers, ParametersKeepTheirValuesAndBecomeViews) {
  auto a = leaf({3, 5}), b = leaf({7}, 2);
  const auto a_before = a.detach().clone(), b_before = b.detach().clone();
  FlatBuffers buffers({{"main", {{"a", a}, {"b", b}}}});
  EXPECT_TRUE(torch::equal(a, a_before));
  EXPECT_TRUE(torch::equal(b, b_before));
  buffers.parameters().fill_(3);
  EXPECT_TRUE(torch::equal(a, torch::full({3, 5}, 3.f)));
  EXPECT_TRUE(torch::equal(b, torch::full({7}, 3.f)));
  EXPECT_TRUE(a.is_leaf() && a.requires_grad());
  EXPECT_EQ(buffers.num_parameters(), 22);
}

TEST(FlatBuffers, BackwardAccumulatesIntoTheFlatGradientAndOneFillClearsIt) {
  auto a = leaf({3, 5}), b = leaf({7}, 2);
  FlatBuffers buffers({{"main", {{"a", a}, {"b", b}}}});
  for (int i = 0; i < 2; ++i) (a.sum() * 2 + b.sum() * 3).backward();
  EXPECT_TRUE(torch::equal(buffers.slice(buffers.gradients(), buffers.slots()[0]), torch::full({3, 5}, 4.f)));
  EXPECT_TRUE(torch::equal(buffers.slice(buffers.gradients(), buffers.slots()[1]), torch::full({7}, 6.f)));
  EXPECT_EQ(buffers.gradients().sum().item<float>(), 15 * 4 + 7 * 6) << "padding stays zero";
  buffers.zero_grad();
  EXPECT_TRUE(torch::equal(a.grad(), torch::zeros({3, 5})));
  b.sum().backward();
  EXPECT_EQ(buffers.gradients().sum().item<float>(), 7) << "the view is still the gradient";
}

TEST(FlatBuffers, SlotsStartAtMultiplesOf16) {
  auto a = leaf({3}), b = leaf({17}), c = leaf({1});
  FlatBuffers buffers({{"main", {{"a", a}, {"b", b}, {"c", c}}}});
  std::vector<int64_t> offsets;
  for (const auto& slot : buffers.slots()) offsets.push_back(slot.offset);
  EXPECT_EQ(offsets, (std::vector<int64_t>{0, 16, 48}));
}

TEST(FlatBuffers, TiedParametersTakeOneSlotAndBothReachItsGradient) {
  auto a = leaf({4});
  auto alias = a.detach().set_requires_grad(true);  // another tensor on the same memory
  FlatBuffers buffers({{"main", {{"a", a}, {"again", a}, {"alias", alias}}}});
  ASSERT_EQ(buffers.slots().size(), 1u);
  EXPECT_EQ(buffers.slots()[0].name, "a");
  EXPECT_EQ(buffers.num_parameters(), 4);
  (a.sum() + 10 * alias.sum()).backward();
  EXPECT_EQ(buffers.gradients().sum().item<float>(), 44);
  buffers.parameters().fill_(2);
  EXPECT_EQ(alias.sum().item<float>(), 8);
}

TEST(FlatBuffers, SegmentsGroupParametersByTheirOwners) {
  auto a = leaf({2}), b = leaf({2}), c = leaf({2}), d = leaf({2});
  FlatBuffers buffers({{"first", {{"a", a}, {"b", b}, {"c", c}}}, {"second", {{"b", b}, {"d", d}}}});
  ASSERT_EQ(buffers.segments().size(), 3u);  // {a, c}, {b}, {d}
  EXPECT_EQ(buffers.segments_of(0), (std::vector<int64_t>{0, 1}));
  EXPECT_EQ(buffers.segments_of(1), (std::vector<int64_t>{1, 2}));
  std::vector<int64_t> segment_of;
  for (const auto& slot : buffers.slots()) segment_of.push_back(slot.segment);
  EXPECT_EQ(segment_of, (std::vector<int64_t>{0, 1, 0, 2}));
  buffers.segments()[1].parameters.fill_(5);
  EXPECT_EQ(b.sum().item<float>(), 10);
  EXPECT_NE(c.sum().item<float>(), 10);
}

TEST(FlatBuffers, CanBeMadeAgainOverFlatParameters) {
  auto a = leaf({2, 2}), b = leaf({3});
  FlatBuffers first({{"main", {{"a", a}, {"b", b}}}});
  const auto before = a.detach().clone();
  FlatBuffers second({{"main", {{"a", a}, {"b", b}}}});
  EXPECT_TRUE(torch::equal(a, before));
  first.parameters().fill_(9);
  EXPECT_TRUE(torch::equal(a, before)) << "the parameters moved to the second buffers";
}

TEST(FlatBuffers, RefusesPartlySharedMemoryAndMixedTypes) {
  const auto base = torch::zeros({8});
  auto left = base.narrow(0, 0, 5).detach().set_requires_grad(true);
  auto right = base.narrow(0, 4, 4).detach().set_requires_grad(true);
  EXPECT_EQ(error_of({{"main", {{"left", left}, {"right", right}}}}),
            "parameters 'left' and 'right' share a part of their memory; tied parameters have to be the same tensor");
  auto beside = base.narrow(0, 5, 3).detach().set_requires_grad(true);
  EXPECT_EQ(error_of({{"main", {{"left", left}, {"beside", beside}}}}), "no error");
  auto wide = torch::zeros({2}, torch::kDouble).set_requires_grad(true);
  EXPECT_EQ(error_of({{"main", {{"a", leaf({2})}, {"wide", wide}}}}),
            "parameter 'wide' is Double on cpu, 'a' Float on cpu; all parameters need one type and one device");
  EXPECT_EQ(error_of({{"main", {{"fixed", torch::zeros({2})}}}}),
            "parameter 'fixed' can't be trained: it has to be a leaf that requires gradients");
  EXPECT_EQ(error_of({{"main", {}}}), "there are no parameters to train");
}

}  // namespace flat_buffer_test
