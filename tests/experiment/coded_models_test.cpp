#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <iostream>

#include "elbo/base/error.h"
#include "elbo/io/file.h"
#include "elbo/io/sha256.h"
#include "experiment/tiny_codecs.h"
#include "support/child.h"

namespace elbo::coded_models_test {
namespace {

using namespace tiny_codecs;
using ::testing::HasSubstr;

constexpr int64_t kPictures = 7;

class Threads {
 public:
  explicit Threads(int count) { at::set_num_threads(count); }
  ~Threads() { at::set_num_threads(before_); }

 private:
  int before_ = at::get_num_threads();
};

Compressed compressed(Codec& codec, std::optional<CodingPrior> prior) {
  const auto x = tiny_pictures(kPictures);
  return compress_images(codec, [&](int64_t first, int64_t count) { return x.narrow(0, first, count); }, kPictures,
                         {.prior = prior, .images_per_stream = 4});
}

void expect_same_codes(const std::vector<Tensor>& got, const std::vector<Tensor>& expected, const std::string& where) {
  ASSERT_EQ(got.size(), expected.size()) << where;
  for (size_t level = 0; level < got.size(); ++level) EXPECT_TRUE(got[level].equal(expected[level])) << where << " " << level;
}

/// Some code is worth coding: not all of a level are the same.
void expect_different_codes(const std::vector<Tensor>& codes, const std::string& where) {
  for (const auto& level : codes) EXPECT_GT(std::get<0>(at::_unique(level)).numel(), 2) << where;
}

void expect_size(const CodingReport& report, const std::string& where) {
  const auto bits = 8.0 * static_cast<double>(report.payload_bytes);
  EXPECT_GE(bits, 0.99 * report.integer_bits) << where;
  EXPECT_LE(bits, 1.01 * report.integer_bits + 64.0 * static_cast<double>(report.num_streams)) << where;
  EXPECT_NEAR(report.integer_bits / report.model_bits, 1, 1e-3) << where;
}

std::string place_of(const TinyBase& base, const std::string& prior) { return prior + " over " + base.name; }

/// Written with one thread, read by another model of the same weights with these numbers of threads.
void expect_decodes_elsewhere(const TinyBase& base, const std::string& prior, const std::vector<int>& counts) {
  const auto where = place_of(base, prior);
  TinyCodec writer(base, prior), reader(base, prior);
  Compressed file;
  std::vector<Tensor> codes;
  {
    const Threads one(1);
    codes = writer.codec->encode(tiny_pictures(kPictures));
    file = compressed(*writer.codec, CodingPrior::autoregressive);
  }
  expect_different_codes(codes, where);
  expect_size(file.report, where);
  for (const int count : counts) {
    const Threads several(count);
    expect_same_codes(codes_in(*reader.codec, file.bytes), codes, where);
    EXPECT_EQ(at::get_num_threads(), count) << where;
  }
}

/// Codes of two groups a place, and of two levels.
std::vector<TinyBase> two_bases() { return {tiny_bases()[1], tiny_bases()[5]}; }

TEST(CodedModels, ATransformerOverEveryKindOfCodes) {
  for (const auto& base : tiny_bases()) expect_decodes_elsewhere(base, tiny_priors()[0], {2});
}

TEST(CodedModels, EveryPriorOverGroupsAndLevels) {
  for (const auto& base : two_bases()) {
    for (const auto& prior : tiny_priors()) expect_decodes_elsewhere(base, prior, {2, 4});
  }
}

TEST(SlowCodedModels, EveryPriorOverEveryKindOfCodes) {
  for (const auto& base : tiny_bases()) {
    for (const auto& prior : tiny_priors()) expect_decodes_elsewhere(base, prior, {1, 2, 4});
  }
}

TEST(CodedModels, EveryKindOfCodesUnderFrequencies) {
  auto bases = tiny_bases();
  bases.push_back(tiny_vq_vae("{type: lattice, code_size: 4}"));
  bases.push_back(tiny_vq_vae("{type: multi_group, groups: 2, codes: 16, code_size: 4}"));
  bases.push_back(tiny_vq_vae("{type: gaussian_quant, codes: 32, code_size: 4, groups: 2}"));
  for (const auto& base : bases) {
    TinyCodec writer(base), reader(base);
    const auto codes = writer.codec->encode(tiny_pictures(kPictures));
    expect_different_codes(codes, base.name);
    for (const auto prior : {CodingPrior::uniform, CodingPrior::empirical}) {
      const auto file = compressed(*writer.codec, prior);
      expect_size(file.report, base.name);
      expect_same_codes(codes_in(*reader.codec, file.bytes), codes, base.name);
    }
  }
}

/// Codes by integers alone, as many as a level has. Shapes: int64 [N, h, w, G].
Tensor counted_codes(const CodeGrid& grid, int64_t N, int64_t salt) {
  const auto k = torch::arange(N * grid.height * grid.width * grid.groups);
  return ((k * 7919 + salt * 104729).remainder(10007) * (k % 3 + 1))
      .floor_divide(7)
      .remainder(grid.vocabulary)
      .view({N, grid.height, grid.width, grid.groups});
}

/// What these codes became when the first files were written: files of that day must be read for ever.
TEST(CodedModels, FilesAreThoseOfTheFirstDay) {
  const std::vector<std::string> hashes = {"a9afbbcdce9c28a48945ae927d555eba153a9ee2f11bb41d83620a18d2ca5ec6",
                                           "b1bf23fcd7104deced8513140f86c8ab6d9d726b832d3f0b0e42e687ac698c1d",
                                           "b3a15a508227d212a1e907911c414a2626a2e98d4ed4ff0d93956b700b763acf",
                                           "393380b8d3ad8bce7a6f14857b2750bfd4fdd3d87eb850332279624eb320a8ac",
                                           "f409a312013f4efd4e947f3eb9ade13817dcc2157fa561da1668a394f855b6cc",
                                           "284efcd3f957b325ab77b020f4ed42a33148b43d1cb9602c2c5e58e33b9b7157",
                                           "e4bb7cb2d38fe2ebdadda20185302226143deca7051de01374a7e944d71f1f8a",
                                           "c537e79e4e87a05519eaf4c9bb8d06e377de44da6803f53483d3d6cadaa6597f"};
  size_t next = 0;
  for (const auto& base : two_bases()) {
    for (const auto& prior : tiny_priors()) {
      TinyCodec tiny(base, prior);
      std::vector<Tensor> codes;
      for (const auto& grid : tiny.codec->grids()) codes.push_back(counted_codes(grid, 9, static_cast<int64_t>(codes.size())));
      const auto bytes = compress_codes(*tiny.codec, codes, {.images_per_stream = 4}).bytes;
      EXPECT_EQ(sha256(std::as_bytes(std::span(bytes))), hashes.at(next++)) << place_of(base, prior);
    }
  }
}

std::string file_name(size_t base, size_t prior) { return std::to_string(base) + "-" + std::to_string(prior) + ".elbo"; }

/// In a process of its own: decodes every file of a folder and says whether the codes are those that it was told.
TEST(CodedModels, SaysWhatItDecodes) {
  const char* folder = std::getenv("ELBO_TEST_CODED_FILES");
  if (!folder) return;
  for (size_t b = 0; b < two_bases().size(); ++b) {
    for (size_t p = 0; p < tiny_priors().size(); ++p) {
      TinyCodec reader(two_bases()[b], tiny_priors()[p]);
      const auto path = std::filesystem::path(folder) / file_name(b, p);
      std::cout << "\ndecoded " << file_name(b, p);
      try {
        const auto bytes = read_bytes(path, 1 << 20);
        const auto* first = reinterpret_cast<const uint8_t*>(bytes.data());
        for (const auto& level : codes_in(*reader.codec, {first, first + bytes.size()})) {
          for (int64_t i = 0; i < level.numel(); ++i) std::cout << ' ' << level.data_ptr<int64_t>()[i];
        }
      } catch (const Error& error) {
        std::cout << ' ' << error.what();
      }
    }
  }
  std::cout << std::endl;
}

TEST(CodedModels, InstructionSetsDoNotMatter) {
  const auto folder = std::filesystem::path(::testing::TempDir()) / ("elbo_coded_" + std::to_string(getpid()));
  std::filesystem::create_directories(folder);
  std::vector<std::string> expected;
  for (size_t b = 0; b < two_bases().size(); ++b) {
    for (size_t p = 0; p < tiny_priors().size(); ++p) {
      TinyCodec writer(two_bases()[b], tiny_priors()[p]);
      const auto bytes = compressed(*writer.codec, CodingPrior::autoregressive).bytes;
      write_atomically(folder / file_name(b, p), std::as_bytes(std::span(bytes)));
      auto line = file_name(b, p);
      for (const auto& level : writer.codec->encode(tiny_pictures(kPictures))) {
        for (int64_t i = 0; i < level.numel(); ++i) line += " " + std::to_string(level.data_ptr<int64_t>()[i]);
      }
      expected.push_back(line);
    }
  }
  for (const auto& instructions : other_instruction_sets()) {
    EXPECT_EQ(lines_of_child("ELBO_TEST_CODED_FILES='" + folder.string() + "' " + instructions, "CodedModels.SaysWhatItDecodes",
                             "decoded "),
              expected)
        << instructions;
  }
  std::filesystem::remove_all(folder);
}

template <class Call>
std::string refusal_of(Call call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(CodedModels, WhatHasNoCodeSaysWhy) {
  const auto vq = tiny_vq_vae("{type: vq, codes: 13, code_size: 4}");
  const auto lattice = tiny_vq_vae("{type: lattice, code_size: 4}");
  EXPECT_EQ(refusal_of([&] { TinyCodec(lattice, tiny_priors()[0]); }),
            "model 'code_prior': the base's codes are any integers (a lattice); a prior needs codes of a known number");
  EXPECT_THAT(refusal_of([&] { TinyCodec(tiny_vq_vae("{type: bsq, code_size: 24}")); }),
              HasSubstr("16,777,216 codes, more than the 2,097,152 that one symbol can have; train it with more groups of fewer "
                        "codes"));
  TinyCodec masked(vq, "{type: masked_transformer, width: 8, layers: 1, heads: 2}");
  EXPECT_THAT(refusal_of([&] { compressed(*masked.codec, CodingPrior::autoregressive); }),
              HasSubstr("gives no probabilities of codes one after the other, so it can't code; transformer, pixel_cnn, "
                        "gated_pixel_cnn and pixel_snail can"));
  EXPECT_NE(compressed(*masked.codec, std::nullopt).report.prior, CodingPrior::autoregressive);
  TinyCodec plain(vq);
  EXPECT_THAT(refusal_of([&] { compressed(*plain.codec, CodingPrior::autoregressive); }),
              HasSubstr("this run has no prior over its codes: train a second stage"));
  DataSpec spec = tiny_spec();
  Stream init(1, "init", at::kCPU);
  const auto vae = tiny_model("vae", "{likelihood: {type: normal, scale: 0.3}}", {.spec = spec, .init = init});
  EXPECT_EQ(refusal_of([&] { codec_parts(*vae, spec, at::kCPU); }),
            "this model is variational, which has no codes to compress; vq_vae, vq_vae_2, mcquic and code_prior over one of them have");
}

}  // namespace
}  // namespace elbo::coded_models_test
