#include <gtest/gtest.h>

#include "conformance/components.h"
#include "data/files.h"
#include "elbo/io/jpeg.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace {

/// A data root with files for every set; MNIST's keep 5,000 rows for validation by default.
const std::filesystem::path& root() {
  static const data_test::Folder folder;
  static const bool written = [] {
    using namespace data_test;
    for (const char* name : {"mnist", "fashion_mnist"}) write_mnist(folder.path() / name, 5100, 20);
    const std::string records = ramp(1010 * 3073, 10);
    for (int i = 1; i <= 5; ++i) write_file(folder.path() / "cifar10" / ("data_batch_" + std::to_string(i) + ".bin"), records);
    write_file(folder.path() / "cifar10/test_batch.bin", ramp(20 * 3073, 10));
    std::string csv = "a,b,c,d\n", paired = "a,b,c\n";
    for (int i = 0; i < 40; ++i) {
      const auto name = std::to_string(i);
      Image image = {.width = 9, .height = 7, .channels = 3};
      for (int p = 0; p < 9 * 7 * 3; ++p) image.pixels.push_back(static_cast<uint8_t>(p * (i + 1)));
      write_file(folder.path() / "images" / (i % 2 ? "a" : "b") / (name + (i % 3 ? ".png" : ".jpg")),
                 i % 3 ? encode_png(image) : encode_jpeg(image));
      csv += name + "." + name + "," + (i % 3 ? "yes" : "no") + "," + std::to_string(i % 5) + ",class " + std::to_string(i % 2) +
             "\n";
      paired += name + (i % 3 ? ",yes,images/" : ",,images/") + (i % 2 ? "a/" : "b/") + name + (i % 3 ? ".png\n" : ".jpg\n");
      for (const char* modality : {"train/m0/", "train/m1/", "test/m0/", "test/m1/"}) {
        write_file(folder.path() / "images_of_digits" / (modality + name + "." + std::to_string(i % 10) + ".png"),
                   encode_png(image));
      }
    }
    write_file(folder.path() / "x.csv", csv);
    write_file(folder.path() / "paired.csv", paired);
    write_file(folder.path() / "x.idx", idx(8, {50, 6, 6}, ramp(50 * 36)));
    write_file(folder.path() / "y.idx", idx(8, {50}, ramp(50, 10)));
    const auto x = wavy({50, 5}).to(at::kFloat).contiguous(), y = (torch::arange(50) % 10).contiguous();
    write_npz(folder.path() / "x.npz", {{"x", view_of(x)}, {"y", view_of(y)}});
    return true;
  }();
  static_cast<void>(written);
  return folder.path();
}

constexpr std::array kSplits = {Split::train, Split::valid, Split::test};

class EveryDataset : public ::testing::TestWithParam<Component> {
 protected:
  static std::shared_ptr<Dataset> made(uint64_t seed = 1) {
    return build(datasets(), GetParam().name, DataContext{.root = root(), .seed = seed});
  }
};

TEST_P(EveryDataset, GivesWhatItsHeadersPromise) {
  const auto dataset = made();
  const auto spec = dataset->spec();  // before anything is loaded
  ASSERT_TRUE(spec.contains("x") || spec.size() > 1);
  dataset->load(at::kCPU);
  Stream stream(1, "data", at::kCPU);
  for (const auto split : kSplits) {
    const auto rows = std::min<int64_t>(dataset->size(split), 7);
    ASSERT_GT(rows, 0);
    const auto batch = dataset->gather(split, torch::arange(rows), stream);
    EXPECT_EQ(batch.size(), rows);
    ASSERT_EQ(batch.fields.size(), spec.size());
    for (const auto& [name, field] : spec) {
      const auto& value = batch.at(name);
      if (batch.fields.at(name).present.defined()) {
        const auto& present = batch.fields.at(name).present;
        check_shape(present, {rows}, name);
        EXPECT_EQ(present.scalar_type(), at::kBool);
        EXPECT_TRUE(value.index_select(0, present.logical_not().nonzero().select(1, 0)).eq(0).all().item<bool>());
      }
      check_shape(value, joined({rows}, field.shape), name);
      if (field.kind == ValueKind::category) {
        EXPECT_EQ(value.scalar_type(), at::kLong);
        EXPECT_TRUE(value.ge(0).logical_and(value.lt(field.num_classes)).all().item<bool>());
        continue;
      }
      EXPECT_EQ(value.scalar_type(), at::kFloat);
      expect_finite(value);
      if (field.kind == ValueKind::unit) {
        EXPECT_TRUE(value.ge(0).logical_and(value.le(1)).all().item<bool>());
      }
      if (field.kind == ValueKind::binary) {
        EXPECT_TRUE(value.eq(0).logical_or(value.eq(1)).all().item<bool>());
      }
    }
  }
  EXPECT_EQ(dataset->training_mean().defined(), spec.contains("x"));
  if (!spec.contains("x")) return;
  check_shape(dataset->training_mean(), spec.at("x").shape, "training mean");
  expect_close(dataset->training_mean(), data_test::whole(*dataset, Split::train).to(at::kDouble).mean(0), 1e-5, 1e-6);
}

TEST_P(EveryDataset, SameSeedSameRowsAnotherSeedOthers) {
  const auto first = made(), second = made(), third = made(2);
  for (const auto& dataset : {first, second, third}) dataset->load(at::kCPU);
  EXPECT_EQ(first->fingerprint(), second->fingerprint());
  EXPECT_NE(first->fingerprint(), third->fingerprint());
  for (const auto split : kSplits) {
    for (const auto& [name, field] : first->spec()) {
      expect_equal(data_test::whole(*first, split, name), data_test::whole(*second, split, name));
    }
    EXPECT_EQ(first->size(split), third->size(split));
  }
}

TEST_P(EveryDataset, RowsDoNotDependOnTheBatchTheyCameIn) {
  const auto dataset = made();
  dataset->load(at::kCPU);
  Stream other(5, "data", at::kCPU);
  const auto index = torch::tensor({2, 0, 2}, at::kLong);
  const auto batch = dataset->gather(Split::valid, index, other);
  for (const auto& [name, field] : dataset->spec()) {
    expect_equal(batch.at(name), data_test::whole(*dataset, Split::valid, name).index_select(0, index));
  }
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryDataset, ::testing::ValuesIn(components({"data"})), test_name);

}  // namespace
}  // namespace elbo::conformance
