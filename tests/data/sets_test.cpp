#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <zlib.h>

#include "data/files.h"
#include "elbo/base/error.h"
#include "elbo/data/digits.h"
#include "elbo/data/idx_sets.h"
#include "elbo/data/npz_set.h"
#include "support/tensors.h"

namespace elbo {
namespace sets_test {
namespace {

using namespace data_test;
using ::testing::ElementsAre;

TEST(Datasets, AreListed) {
  EXPECT_THAT(datasets().names(), ElementsAre("cifar10", "digits", "fashion_mnist", "idx", "image_folder", "mnist", "npz",
                                              "ocean_floor", "paired", "poly", "polymnist", "shapes_paths", "table"));
}

TEST(Digits, AreTheUciDigits) {
  const auto dataset = datasets().make("digits", DataContext{.seed = 1});
  EXPECT_EQ(dataset->size(Split::train), 1437);
  EXPECT_EQ(dataset->size(Split::valid), 180);
  EXPECT_EQ(dataset->size(Split::test), 180);
  EXPECT_EQ(dataset->batch_size(), 128);
  EXPECT_EQ(dataset->spec().at("x").shape, Shape({1, 8, 8}));
  EXPECT_EQ(dataset->spec().at("x").levels, 17);
  EXPECT_EQ(dataset->spec().at("label").num_classes, 10);
  dataset->load(at::kCPU);
  double sum = 0;
  auto per_class = torch::zeros({10}, torch::kLong);
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto x = whole(*dataset, split);
    EXPECT_EQ(x.max().item<float>(), 1);
    EXPECT_EQ(x.min().item<float>(), 0);
    sum += x.to(torch::kDouble).sum().item<double>();
    per_class += torch::bincount(whole(*dataset, split, "label"), {}, 10);
  }
  EXPECT_EQ(sum, 561718.0 / 16);
  expect_equal(per_class, torch::tensor({178, 182, 177, 183, 181, 182, 181, 179, 174, 180}));
}

TEST(Digits, FirstRowIsTheFilesZero) {
  const auto dataset = datasets().make("digits", DataContext{.seed = 1});
  dataset->load(at::kCPU);
  const auto zero = values({0, 0, 5, 13, 9, 1, 0, 0, 0, 0, 13, 15, 10, 15, 5, 0}).to(torch::kFloat) / 16;
  int64_t found = 0;
  for (const Split split : {Split::train, Split::valid, Split::test}) {
    const auto same = whole(*dataset, split).flatten(1).narrow(1, 0, 16).eq(zero).all(1);
    found += same.sum().item<int64_t>();
    if (same.any().item<bool>()) {
      EXPECT_EQ(whole(*dataset, split, "label")[same.nonzero()[0][0]].item<int64_t>(), 0);
    }
  }
  EXPECT_EQ(found, 1);
}

TEST(Digits, SplitIsThisOneOnEveryMachine) {
  const auto dataset = datasets().make("digits", DataContext{.seed = 1});
  dataset->load(at::kCPU);
  EXPECT_EQ(dataset->fingerprint(), "b7893be6ff5eff971c206bc561f7e25441c7c18dde0532fb8b55f4c21a8b3bd2");
}

TEST(Digits, FractionsAreOptions) {
  const auto dataset = from_yaml("{type: digits, valid_fraction: 0.25, test_fraction: 0.5, binarize: static, batch_size: 7}", {});
  EXPECT_EQ(dataset->size(Split::valid), 449);
  EXPECT_EQ(dataset->size(Split::test), 899);
  EXPECT_EQ(dataset->batch_size(), 7);
  EXPECT_EQ(dataset->spec().at("x").kind, ValueKind::binary);
  try {
    from_yaml("{type: digits, valid_fraction: 0.5, test_fraction: 0.5}", {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(),
                ::testing::HasSubstr("a.yaml:1: data.valid_fraction: valid_fraction and test_fraction leave no rows"));
  }
}

TEST(Mnist, ReadsTheFourFilesAndDrawsValidFromTrain) {
  Folder folder;
  write_mnist(folder.path() / "fashion_mnist", 20, 6);
  const auto dataset = from_yaml("{type: fashion_mnist, valid: 5}", {.root = folder.path(), .seed = 2});
  EXPECT_EQ(dataset->size(Split::train), 15);
  EXPECT_EQ(dataset->size(Split::valid), 5);
  EXPECT_EQ(dataset->size(Split::test), 6);
  EXPECT_EQ(dataset->spec().at("x").shape, Shape({1, 28, 28}));
  EXPECT_EQ(dataset->spec().at("x").levels, 256);
  dataset->load(at::kCPU);
  expect_equal(whole(*dataset, Split::test, "label"), torch::arange(6).mul(7).remainder(10));
  const auto expected = torch::arange(6 * 784).mul(7).remainder(256).to(torch::kFloat).div(255.0f).view({6, 1, 28, 28});
  EXPECT_TRUE(whole(*dataset, Split::test).equal(expected));
  // Train and valid together are the training file.
  const auto both = torch::cat({whole(*dataset, Split::train, "label"), whole(*dataset, Split::valid, "label")});
  expect_equal(std::get<0>(both.sort()), std::get<0>(torch::arange(20).mul(7).remainder(10).sort()));
}

TEST(Mnist, SpecAndSizesNeedHeadersOnly) {
  Folder folder;
  write_mnist(folder.path() / "mnist", 20, 6);
  const auto dataset = from_yaml("{type: mnist, valid: 5}", {.root = folder.path()});
  for (const auto& entry : std::filesystem::directory_iterator(folder.path() / "mnist")) std::filesystem::remove(entry);
  EXPECT_EQ(dataset->size(Split::test), 6);
  EXPECT_EQ(dataset->spec().at("label").num_classes, 10);
  EXPECT_THROW(dataset->load(at::kCPU), DataError);
}

TEST(Mnist, ReadsGzippedFiles) {
  Folder folder;
  write_mnist(folder.path() / "mnist", 20, 6);
  write_mnist(folder.path() / "plain/mnist", 20, 6);
  for (const std::string name : {"train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"}) {
    const auto path = folder.path() / "mnist" / name;
    std::ifstream in(path, std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    const auto file = gzopen((path.string() + ".gz").c_str(), "wb");
    gzwrite(file, bytes.data(), static_cast<unsigned>(bytes.size()));
    gzclose(file);
    std::filesystem::remove(path);
  }
  const auto gzipped = from_yaml("{type: mnist, valid: 5}", {.root = folder.path()});
  const auto plain = from_yaml("{type: mnist, valid: 5}", {.root = folder.path() / "plain"});
  gzipped->load(at::kCPU);
  plain->load(at::kCPU);
  EXPECT_EQ(gzipped->fingerprint(), plain->fingerprint());
}

TEST(Mnist, MissingFilesSayHowToGetThem) {
  Folder folder;
  try {
    from_yaml("{type: fashion_mnist}", {.root = folder.path()});
    FAIL();
  } catch (const DataError& error) {
    const auto path = (folder.path() / "fashion_mnist/train-images-idx3-ubyte").string();
    EXPECT_EQ(error.what(), path +
                                ": no such file; get it with: scripts/fetch_data.sh fashion_mnist, or name the folder that holds "
                                "fashion_mnist/ with --data-root");
  }
}

TEST(Mnist, TooManyValidationRowsAreAnErrorOfTheConfig) {
  Folder folder;
  write_mnist(folder.path() / "mnist", 20, 6);
  EXPECT_THROW(from_yaml("{type: mnist, valid: 20}", {.root = folder.path()}), ConfigError);
}

TEST(Idx, ReadsRowsOfAnyShapeWithoutLabels) {
  Folder folder;
  write_file(folder.path() / "rows.idx", idx(8, {10, 3}, ramp(30)));
  write_file(folder.path() / "colour.idx", idx(8, {10, 3, 2, 2}, ramp(120)));
  const auto rows = from_yaml("{type: idx, images: rows.idx}", {.root = folder.path()});
  EXPECT_EQ(rows->spec().size(), 1);
  EXPECT_EQ(rows->spec().at("x").shape, Shape({3}));
  EXPECT_EQ(rows->size(Split::train), 8);
  EXPECT_EQ(rows->size(Split::valid), 1);
  EXPECT_EQ(rows->size(Split::test), 1);
  const auto absolute = (folder.path() / "colour.idx").string();
  const auto colour = from_yaml("{type: idx, images: " + absolute + "}", {.root = "/nowhere"});
  EXPECT_EQ(colour->spec().at("x").shape, Shape({3, 2, 2}));
}

TEST(Idx, ReadsFloatsAndItsOwnTestFiles) {
  Folder folder;
  const std::string one = {0x3f, static_cast<char>(0x80), 0, 0}, minus_two = {static_cast<char>(0xc0), 0, 0, 0};
  write_file(folder.path() / "x", idx(13, {4, 1}, one + one + one + one));
  write_file(folder.path() / "t", idx(13, {1, 1}, minus_two));
  write_file(folder.path() / "y", idx(8, {4}, {0, 1, 2, 0}));
  write_file(folder.path() / "ty", idx(12, {1}, {0, 0, 0, 2}));
  const auto dataset =
      from_yaml("{type: idx, images: x, labels: y, test_images: t, test_labels: ty, classes: 3}", {.root = folder.path()});
  EXPECT_EQ(dataset->spec().at("x").kind, ValueKind::real);
  EXPECT_EQ(dataset->spec().at("label").num_classes, 3);
  EXPECT_EQ(dataset->size(Split::train), 3);
  dataset->load(at::kCPU);
  expect_close(whole(*dataset, Split::test), values({-2}, {1, 1}));
  expect_equal(whole(*dataset, Split::test, "label"), torch::tensor({int64_t{2}}));
}

TEST(Idx, LabelsGoTogether) {
  try {
    from_yaml("{type: idx, images: x, labels: y, test_images: t}", {});
    FAIL();
  } catch (const ConfigError& error) {
    EXPECT_THAT(error.what(), ::testing::HasSubstr("data.test_labels: labels and test_labels go together"));
  }
}

void save_npz(const std::filesystem::path& path, const std::map<std::string, Tensor>& arrays) {
  std::vector<std::pair<std::string, ArrayView>> views;
  for (const auto& [name, tensor] : arrays) views.emplace_back(name, view_of(tensor));
  write_npz(path, views);
}

TEST(Npz, SplitsOneArrayBySeedAndReadsDoublesAsFloats) {
  Folder folder;
  save_npz(folder.path() / "a.npz", {{"z", wavy({20, 3})}, {"y", torch::arange(20).remainder(4)}});
  const auto dataset = from_yaml("{type: npz, path: a.npz, x: z, label: y, classes: 4}", {.root = folder.path(), .seed = 6});
  EXPECT_EQ(dataset->spec().at("x").kind, ValueKind::real);
  EXPECT_EQ(dataset->size(Split::train), 16);
  dataset->load(at::kCPU);
  const auto x = torch::cat({whole(*dataset, Split::train), whole(*dataset, Split::valid), whole(*dataset, Split::test)});
  EXPECT_EQ(x.scalar_type(), torch::kFloat);
  const auto first = std::get<0>(x.select(1, 0).sort());
  expect_equal(first, std::get<0>(wavy({20, 3}).to(torch::kFloat).select(1, 0).contiguous().sort()));
}

TEST(Npz, TakesTheSplitsThatTheArchiveNames) {
  Folder folder;
  const auto bytes = torch::arange(10 * 4).to(torch::kByte).view({10, 2, 2});
  save_npz(folder.path() / "a.npz", {{"x_train", bytes}, {"x_test", bytes.narrow(0, 2, 3)}});
  const auto dataset = from_yaml("{type: npz, path: a.npz, valid_fraction: 0.3}", {.root = folder.path()});
  EXPECT_EQ(dataset->spec().at("x").shape, Shape({1, 2, 2}));
  EXPECT_EQ(dataset->size(Split::train), 7);
  EXPECT_EQ(dataset->size(Split::valid), 3);
  dataset->load(at::kCPU);
  expect_equal(whole(*dataset, Split::test), bytes.narrow(0, 2, 3).to(torch::kFloat).div(255.0f).view({3, 1, 2, 2}));

  save_npz(folder.path() / "b.npz", {{"train", bytes}, {"valid", bytes.narrow(0, 0, 1)}, {"test", bytes.narrow(0, 2, 3)}});
  const auto plain = from_yaml("{type: npz, path: b.npz, x: ''}", {.root = folder.path()});
  EXPECT_EQ(plain->size(Split::train), 10);
  EXPECT_EQ(plain->size(Split::valid), 1);
  plain->load(at::kCPU);
  expect_equal(whole(*plain, Split::valid).flatten(), torch::arange(4).to(torch::kFloat).div(255.0f));
}

std::string error_of_loading(const std::shared_ptr<Dataset>& dataset) {
  try {
    dataset->load(at::kCPU);
  } catch (const DataError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Bytes, OfZeroAndOneMustSayWhatTheyAre) {
  Folder folder;
  const std::string advice = ": the bytes are all 0 or 1; say values: binary (or values: unit if they really are grey levels)";
  const auto bits = torch::arange(12).remainder(2).to(torch::kByte).view({6, 2});
  save_npz(folder.path() / "a.npz", {{"x", bits}, {"y", bits * 2}, {"train", bits}, {"test", bits * 255}});
  const auto npz = [&](const std::string& options) {
    return error_of_loading(from_yaml("{type: npz, path: a.npz, " + options + "}", {.root = folder.path()}));
  };
  const auto archive = (folder.path() / "a.npz").string();
  EXPECT_EQ(npz("x: x"), archive + ": array 'x'" + advice);
  EXPECT_EQ(npz("x: ''"), archive + ": array 'train'" + advice);  // the training rows count
  for (const std::string options : {"x: y", "x: x, values: unit", "x: x, values: binary", "x: x, values: real"}) {
    EXPECT_EQ(npz(options), "nothing was thrown") << options;
  }

  write_file(folder.path() / "bits", idx(8, {10, 3}, ramp(30, 2)));
  EXPECT_EQ(error_of_loading(from_yaml("{type: idx, images: bits}", {.root = folder.path()})),
            (folder.path() / "bits").string() + advice);
  EXPECT_EQ(error_of_loading(from_yaml("{type: idx, images: bits, values: binary}", {.root = folder.path()})),
            "nothing was thrown");
}

TEST(Npz, ValuesSayWhatTheNumbersAre) {
  Folder folder;
  const auto bits = torch::arange(12).remainder(2).view({6, 2});
  save_npz(folder.path() / "a.npz",
           {{"bytes", bits.to(torch::kByte)}, {"bools", bits.to(torch::kBool)}, {"unit", bits.to(torch::kFloat) * 0.25}});
  const auto read = [&](const std::string& options) {
    auto dataset = from_yaml("{type: npz, path: a.npz, " + options + "}", {.root = folder.path()});
    dataset->load(at::kCPU);
    return dataset;
  };
  const auto binary = read("x: bytes, values: binary");
  EXPECT_EQ(binary->spec().at("x").kind, ValueKind::binary);
  expect_equal(whole(*binary, Split::test), torch::tensor({{0.0f, 1.0f}}));
  const auto bools = read("x: bools, binarize: dynamic");
  EXPECT_EQ(bools->spec().at("x").kind, ValueKind::binary);
  expect_equal(whole(*bools, Split::train), torch::tensor({0.0f, 1.0f}).expand({4, 2}));
  const auto unit = read("x: unit, values: unit");
  EXPECT_EQ(unit->spec().at("x").kind, ValueKind::unit);
  EXPECT_EQ(unit->spec().at("x").levels, 0);
  expect_equal(whole(*unit, Split::test), torch::tensor({{0.0f, 0.25f}}));
  expect_close(unit->training_mean(), values({0, 0.25}), 1e-7);
  const auto real = read("x: bytes, values: real");
  EXPECT_EQ(real->spec().at("x").kind, ValueKind::real);
  expect_equal(whole(*real, Split::test), torch::tensor({{0.0f, 1.0f}}));
  EXPECT_EQ(read("x: unit, values: unit, binarize: threshold")->spec().at("x").kind, ValueKind::binary);
}

}  // namespace
}  // namespace sets_test
}  // namespace elbo
