#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "data/files.h"
#include "elbo/base/error.h"
#include "support/tensors.h"

namespace elbo {
namespace hostile_test {
namespace {

using namespace data_test;
using ::testing::HasSubstr;

struct Case {
  const char* name;
  const char* config;
  void (*write)(const std::filesystem::path& root);
  const char* file;     // that the message must name
  const char* message;  // that it must contain
};

const std::string kImages = "train-images-idx3-ubyte", kLabels = "train-labels-idx1-ubyte";

/// An MNIST of 20 and 6 rows, one file replaced.
void mnist_but(const std::filesystem::path& root, const std::string& file, const std::string& bytes) {
  write_mnist(root / "mnist", 20, 6);
  write_file(root / "mnist" / file, bytes);
}

void npz(const std::filesystem::path& root, const std::map<std::string, Tensor>& arrays) {
  std::vector<std::pair<std::string, ArrayView>> views;
  for (const auto& [name, tensor] : arrays) views.emplace_back(name, view_of(tensor));
  write_npz(root / "a.npz", views);
}

const Case kCases[] = {
    {"Empty", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kImages, ""); }, "train-images", "byte 0"},
    {"HeaderCut", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {20, 28, 28}, "").substr(0, 9));
     },
     "train-images", "byte 9"},
    {"BadMagic", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kImages, "GIF89a, and more"); }, "train-images",
     "byte 0"},
    {"BadType", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(7, {20, 28, 28}, ramp(20 * 784)));
     },
     "train-images", "byte 2"},
    {"NoDimensions", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kImages, idx(8, {}, "x")); }, "train-images",
     "byte 3"},
    {"DataCut", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {20, 28, 28}, ramp(19 * 784)));
     },
     "train-images", "byte"},
    {"DataTooLong", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {20, 28, 28}, ramp(20 * 784 + 1)));
     },
     "train-images", "byte"},
    {"HugeExtents", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {0xffffffff, 0xffffffff, 0xffffffff}, "x"));
     },
     "train-images", "byte"},
    {"HugeCount", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {0x7fffffff, 28, 28}, "x"));
     },
     "train-images", "byte"},
    {"WrongImageSize", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {20, 32, 32}, ramp(20 * 1024)));
     },
     "train-images", "byte 2: uint8 [20, 32, 32]; uint8 images [N, 28, 28] expected"},
    {"WrongElementType", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(11, {20, 28, 28}, ramp(20 * 784 * 2)));
     },
     "train-images", "int16"},
    {"LabelsInPlaceOfImages", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kImages, idx(8, {20}, ramp(20, 10))); },
     "train-images", "[20]"},
    {"ImagesInPlaceOfLabels", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kLabels, idx(8, {20, 28, 28}, ramp(20 * 784)));
     },
     "train-labels", "labels have extents [20, 28, 28]; one a row"},
    {"FewerLabels", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kLabels, idx(8, {19}, ramp(19, 10))); },
     "train-labels", "byte 4: 19 labels, but "},
    {"MoreLabels", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kLabels, idx(8, {21}, ramp(21, 10))); },
     "train-labels", "byte 4: 21 labels, but "},
    {"LabelOutOfRange", "{type: mnist, valid: 5}",
     [](auto& root) { mnist_but(root, kLabels, idx(8, {20}, ramp(19, 10) + static_cast<char>(10))); }, "train-labels",
     "byte 27: label 10 of row 19; 0 to 9 expected (10 classes)"},
    {"NegativeLabel", "{type: mnist, valid: 5}",
     [](auto& root) { mnist_but(root, kLabels, idx(9, {20}, ramp(19, 10) + static_cast<char>(-1))); }, "train-labels",
     "label -1 of row 19"},
    {"FloatLabels", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kLabels, idx(13, {20}, std::string(80, 0))); },
     "train-labels", "labels are float32"},
    {"NoRows", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, kImages, idx(8, {0, 28, 28}, ""));
     },
     "train-images", "there are no rows"},
    {"NoTestRows", "{type: mnist, valid: 5}",
     [](auto& root) {
       mnist_but(root, "t10k-images-idx3-ubyte", idx(8, {0, 28, 28}, ""));
     },
     "t10k-images", "there are no rows"},
    {"GzipCut", "{type: mnist, valid: 5}", [](auto& root) { mnist_but(root, kImages, "\x1f\x8b\x08"); }, "train-images", "byte"},
    {"AFolder", "{type: mnist, valid: 5}",
     [](auto& root) {
       write_mnist(root / "mnist", 20, 6);
       std::filesystem::remove(root / "mnist" / kImages);
       std::filesystem::create_directory(root / "mnist" / kImages);
     },
     "train-images", ""},
    {"OneFileMissing", "{type: mnist, valid: 5}",
     [](auto& root) {
       write_mnist(root / "mnist", 20, 6);
       std::filesystem::remove(root / "mnist" / "t10k-labels-idx1-ubyte");
     },
     "t10k-labels-idx1-ubyte", "scripts/fetch_data.sh mnist"},
    {"IdxMissing", "{type: idx, images: none.idx}", [](auto&) {}, "none.idx", "--data-root"},
    {"IdxIntegers", "{type: idx, images: a.idx}",
     [](auto& root) {
       write_file(root / "a.idx", idx(12, {4, 1}, std::string(16, 0)));
     },
     "a.idx", "holds int32; uint8, bool, float16, float32 or float64 expected"},
    {"IdxOneDimension", "{type: idx, images: a.idx}", [](auto& root) { write_file(root / "a.idx", idx(8, {4}, ramp(4))); },
     "a.idx", "byte 4: extents [4]"},
    {"IdxTwoRows", "{type: idx, images: a.idx}",
     [](auto& root) {
       write_file(root / "a.idx", idx(8, {2, 3}, ramp(6)));
     },
     "a.idx", "only 2 rows: too few"},
    {"IdxTestOfAnotherSize", "{type: idx, images: a.idx, test_images: b.idx}",
     [](auto& root) {
       write_file(root / "a.idx", idx(8, {4, 3}, ramp(12)));
       write_file(root / "b.idx", idx(8, {4, 2}, ramp(8)));
     },
     "b.idx", "byte 4: uint8 [4, 2], but "},
    {"IdxNotBinary", "{type: idx, images: a.idx, values: binary}",
     [](auto& root) {
       write_file(root / "a.idx", idx(8, {4, 1}, {0, 1, 2, 1}));
     },
     "a.idx", "row 2 holds other numbers than 0 and 1"},
    {"NpzMissing", "{type: npz, path: a.npz}", [](auto&) {}, "a.npz", "--data-root"},
    {"NpzNotZip", "{type: npz, path: a.npz}", [](auto& root) { write_file(root / "a.npz", "PK but nothing else"); }, "a.npz", ""},
    {"NpzNoSuchArray", "{type: npz, path: a.npz, x: imges}",
     [](auto& root) {
       npz(root, {{"images", torch::zeros({4, 2})}});
     },
     "a.npz", "no array 'imges', did you mean 'images'? It has images"},
    {"NpzNan", "{type: npz, path: a.npz}",
     [](auto& root) {
       npz(root, {{"x", torch::full({4, 2}, NAN)}});
     },
     "a.npz", "array 'x': row 0 holds other numbers than finite float32 ones"},
    {"NpzTooLargeForFloat", "{type: npz, path: a.npz}",
     [](auto& root) {
       npz(root, {{"x", torch::tensor({{0.0}, {0.0}, {0.0}, {1e300}}, torch::kDouble)}});
     },
     "a.npz", "row 3 holds other numbers than finite"},
    {"NpzNotUnit", "{type: npz, path: a.npz, values: unit}",
     [](auto& root) {
       npz(root, {{"x", torch::tensor({{0.0f}, {1.5f}, {0.0f}, {1.0f}})}});
     },
     "a.npz", "row 1 holds other numbers than those in [0, 1]"},
    {"NpzFewerLabels", "{type: npz, path: a.npz, label: y}",
     [](auto& root) {
       npz(root, {{"x", torch::zeros({4, 2})}, {"y", torch::zeros({3}, torch::kLong)}});
     },
     "a.npz", "array 'y': 3 labels, but "},
    {"NpzLabelOutOfRange", "{type: npz, path: a.npz, label: y, classes: 2}",
     [](auto& root) {
       npz(root, {{"x", torch::zeros({4, 2})}, {"y", torch::tensor({0, 1, 2, 1})}});
     },
     "a.npz", "array 'y': label 2 of row 2; 0 to 1 expected"},
    {"NpzSplitsDisagree", "{type: npz, path: a.npz}",
     [](auto& root) {
       npz(root, {{"x_train", torch::zeros({4, 2})}, {"x_test", torch::zeros({4, 3})}});
     },
     "a.npz", "array 'x_test': float32 [4, 3], but "},
};

class HostileData : public ::testing::TestWithParam<Case> {};

TEST_P(HostileData, IsADataErrorThatNamesTheFile) {
  const Case& hostile = GetParam();
  Folder folder;
  hostile.write(folder.path());
  try {
    from_yaml(hostile.config, {.root = folder.path()})->load(at::kCPU);
    FAIL() << "was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.exit_code(), 3) << error.what();
    const std::string message = error.what();
    EXPECT_THAT(message, HasSubstr(folder.path().string()));
    EXPECT_THAT(message.substr(0, message.find(": ")), HasSubstr(hostile.file));
    EXPECT_THAT(message, HasSubstr(hostile.message));
  }
}

INSTANTIATE_TEST_SUITE_P(Files, HostileData, ::testing::ValuesIn(kCases),
                         [](const auto& test) { return std::string(test.param.name); });

/// What headers tell is refused before anything else is read.
TEST(HostileHeaders, AreRefusedAtConstruction) {
  for (const auto& hostile : kCases) {
    const std::string name = hostile.name;
    const bool contents = name == "LabelOutOfRange" || name == "NegativeLabel" || name == "IdxNotBinary" || name == "NpzNan" ||
                          name == "NpzTooLargeForFloat" || name == "NpzNotUnit" || name == "NpzLabelOutOfRange";
    SCOPED_TRACE(name);
    Folder folder;
    hostile.write(folder.path());
    if (contents) {
      EXPECT_NO_THROW(from_yaml(hostile.config, {.root = folder.path()}));
    } else {
      EXPECT_THROW(from_yaml(hostile.config, {.root = folder.path()}), DataError);
    }
  }
}

}  // namespace
}  // namespace hostile_test
}  // namespace elbo
