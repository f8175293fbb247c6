#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/nn/functional.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <random>

#include "data/files.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/io/jpeg.h"

namespace elbo {
namespace image_rate_test {
namespace {

using namespace data_test;

/// kB of a line of /proc/self/status.
int64_t memory_of(const std::string& what) {
  std::ifstream in("/proc/self/status");
  for (std::string word; in >> word;) {
    int64_t kb = 0;
    if (word == what && in >> kb) return kb * 1024;
  }
  return 0;
}

/// A small encoder there and back, as a training step would run it.
struct Step {
  std::vector<Tensor> weights = {};

  Step() {
    int64_t channels = 3;
    for (const int64_t next : {32, 32, 64, 64}) {
      weights.push_back(torch::full({next, channels, 4, 4}, 0.01f).requires_grad_());
      channels = next;
    }
  }
  void operator()(Tensor x) {
    for (const auto& weight : weights) x = torch::relu(torch::conv2d(x, weight, {}, 2, 1));
    x.square().sum().backward();
    for (auto& weight : weights) weight.mutable_grad() = Tensor();
  }
};

double seconds_of(Loader& loader, int64_t from, int64_t count, Step& step) {
  Stream stream(1, "data", at::kCPU);
  const auto begin = std::chrono::steady_clock::now();
  for (int64_t i = from; i < from + count; ++i) {
    stream.rekey(i);
    step(loader.at(i, stream).at("x"));
  }
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

/// 20,000 pictures of 64 x 64, and as many in memory: the rates of steps that alternate in blocks, and what the folder adds to
/// the process's memory.
TEST(SlowImageFolder, KeepsTheStepBusyWithinItsMemory) {
  constexpr int64_t kPictures = 20000, kSide = 64, kBatch = 64, kBlock = 10, kBlocks = 7, kDifferent = 200;
  Folder folder;
  std::mt19937 random(1);
  for (int64_t i = 0; i < kDifferent; ++i) {
    Image image = {.width = kSide, .height = kSide, .channels = 3};
    const auto a = random() % 5 + 1, b = random() % 7 + 1, c = random() % 255;
    for (unsigned p = 0; p < kSide * kSide; ++p) {
      const unsigned x = p % kSide, y = p / kSide;
      for (unsigned channel = 0; channel < 3; ++channel) {
        image.pixels.push_back(static_cast<uint8_t>(c + a * x + b * y * channel + x * y / 16));
      }
    }
    const auto bytes = encode_jpeg(image);
    for (int64_t copy = 0; copy < kPictures / kDifferent; ++copy)
      write_file(folder.path() / "images" / text(i, "/", copy, ".jpg"), bytes);
  }
  {
    const Tensor pixels = torch::randint(256, {kPictures, 3, kSide, kSide}, torch::kByte);
    write_npz(folder.path() / "x.npz", {{"x", view_of(pixels)}});
  }
  Step step;
  step(torch::rand({kBatch, 3, kSide, kSide}));  // LibTorch's own memory, and the step's
  for (const std::string cache : {"", ", cache_bytes: 0"}) {
    const int64_t before = memory_of("VmRSS:");
    const auto streamed =
        from_yaml("{type: image_folder, path: images, batch_size: 64" + cache + "}", {.root = folder.path(), .seed = 1});
    streamed->load(at::kCPU);
    streamed->training_mean();
    Loader loader(streamed, kBatch, 1, ShortBatch::drop);
    int64_t largest = 0;
    for (int64_t done = 0; done < loader.steps_per_epoch(); done += 25) {
      Stream stream(1, "data", at::kCPU);
      for (int64_t i = done; i < std::min<int64_t>(done + 25, loader.steps_per_epoch()); ++i) loader.at(i, stream);
      largest = std::max(largest, memory_of("VmRSS:") - before);
    }
    std::cout << "folder" << cache << ": " << (largest >> 20) << " MB beyond the step's\n";
    EXPECT_LE(largest, int64_t{512} << 20);
    const auto in_memory =
        from_yaml("{type: npz, path: x.npz, values: unit, batch_size: 64}", {.root = folder.path(), .seed = 1});
    in_memory->load(at::kCPU);
    Loader other(in_memory, kBatch, 1, ShortBatch::drop);
    std::vector<double> ratios;
    for (int64_t block = 0; block < kBlocks; ++block) {
      const int64_t at = loader.steps_per_epoch() + block * kBlock;
      const double from_folder = seconds_of(loader, at, kBlock, step), from_memory = seconds_of(other, at, kBlock, step);
      ratios.push_back(from_memory / from_folder);
    }
    std::cout << "folder" << cache << ": " << median(ratios) << " of the rate in memory ("
              << *std::min_element(ratios.begin(), ratios.end()) << " to " << *std::max_element(ratios.begin(), ratios.end())
              << ")\n";
    EXPECT_GE(median(ratios), 0.9);
  }
}

}  // namespace
}  // namespace image_rate_test
}  // namespace elbo
