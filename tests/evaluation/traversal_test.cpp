#include "elbo/evaluation/traversal.h"

#include "fakes.h"
#include "support/tensors.h"

using namespace elbo;

namespace traversal_test {

/// Decodes a code of three into itself plus the row's condition: [B, 1, 1, 3].
class Mirror final : public Model, public Decodes {
 public:
  std::string_view family() const override { return "variational"; }
  std::string summary() const override { return "mirror"; }
  int64_t code_size() const override { return 3; }
  Tensor decode_code(const Tensor& z, const Batch& given) override {
    rows_seen = std::max(rows_seen, z.size(0));
    return (z + given.at("label").unsqueeze(1).to(z.scalar_type())).view({-1, 1, 1, 3});
  }
  int64_t rows_seen = 0;
};

Batch labelled(int64_t label) {
  return {.fields = {{"label", {.value = torch::full({1}, label, torch::kLong)}}}, .index = torch::zeros({1}, torch::kLong)};
}

TEST(Traversal, MovesOneUnitAndLeavesTheOthers) {
  Mirror model;
  const auto pictures = traverse(model, values({0.5, -0.5, 0.25}), labelled(0), {2, 0}, steps_between(-3, 3, 3));
  expect_close(pictures, values({0.5, -0.5, -3, 0.5, -0.5, 0, 0.5, -0.5, 3, -3, -0.5, 0.25, 0, -0.5, 0.25, 3, -0.5, 0.25},
                                {2, 3, 1, 1, 3}));
}

TEST(Traversal, HandsTheConditionsOfItsRowOnInBoundedPieces) {
  Mirror model;
  const auto code = values({0.5, -0.5, 0.25});
  const auto steps = steps_between(-1, 1, 400);
  const auto pictures = traverse(model, code, labelled(10), {0, 1, 2}, steps);
  EXPECT_EQ(pictures.sizes(), at::IntArrayRef({3, 400, 1, 1, 3}));
  EXPECT_LE(model.rows_seen, 512);
  expect_close(pictures.select(-1, 1)[0], 9.5);
  EXPECT_NEAR(pictures[2][399][0][0][2].item<double>(), 11, 1e-12);
}

TEST(Traversal, StepsHoldBothEnds) {
  EXPECT_EQ(steps_between(-3, 3, 3), (std::vector<double>{-3, 0, 3}));
  EXPECT_EQ(steps_between(2, 1, 2), (std::vector<double>{2, 1}));
  EXPECT_THROW(steps_between(0, 1, 1), UsageError);
}

TEST(Traversal, RefusesUnitsThatTheCodeLacks) {
  Mirror model;
  EXPECT_EQ(fakes::message_of([&] {
              traverse(model, values({0, 0, 0}), labelled(0), {3}, {0});
            }),
            "unit 3: the code has units 0 to 2");
}

TEST(Traversal, OrdersUnitsByTheirKl) {
  CollapsePanel panel{
      .layers = {{.name = "z", .variance_of_means = values({0.001, 0.9, 0.5}), .kl_per_unit = values({0.1, 0.2, 3})}}};
  EXPECT_EQ(units_by_kl(panel, 3, UnitChoice::all), (std::vector<int64_t>{2, 1, 0}));
  EXPECT_EQ(units_by_kl(panel, 3, UnitChoice::active), (std::vector<int64_t>{2, 1}));
  EXPECT_TRUE(units_by_kl(panel, 4, UnitChoice::all).empty());
  panel.layers[0].kl_per_unit = Tensor();
  EXPECT_EQ(units_by_kl(panel, 3, UnitChoice::all), (std::vector<int64_t>{1, 2, 0}));
}

TEST(Traversal, GridHasARowAUnit) {
  const auto grid = traversal_grid(torch::zeros({2, 5, 1, 28, 28}));
  ASSERT_TRUE(grid);
  EXPECT_EQ(grid->width, 5 * 86 + 2);
  EXPECT_EQ(grid->height, 2 * 86 + 2);
  EXPECT_FALSE(traversal_grid(torch::zeros({2, 5, 784})).has_value());
}

}  // namespace traversal_test
