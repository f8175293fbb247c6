#include "elbo/experiment/codec.h"

#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "elbo/base/error.h"
#include "elbo/evaluation/psnr.h"
#include "experiment/codec_fakes.h"

namespace elbo::codec_test {
namespace {

using namespace codec_fakes;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

CodecParts parts_of(FakeModel& model, int64_t side = 8) {
  return {.model = &model, .spec = {{"x", picture(side)}}, .model_hash = hash_of('a'), .why_no_prior = "there is none here"};
}

/// A codec of a fake model, with a chain as each level's prior.
struct Bed {
  explicit Bed(std::vector<FakeLevel> levels, bool with_priors = true) : model(levels) {
    auto parts = parts_of(model);
    if (with_priors) {
      int64_t above = 0;
      for (size_t i = 0; i < levels.size(); ++i) {
        const auto V = levels[i].sizes.front();
        const CodeGrid grid{levels[i].height, levels[i].width, static_cast<int64_t>(levels[i].sizes.size()), V};
        priors.push_back(std::make_unique<ChainPrior>(grid, above, i + 1));
        parts.priors.push_back(priors.back().get());
        above = V;
      }
      parts.prior_hash = hash_of('b');
    }
    codec.emplace(parts);
  }
  FakeModel model;
  std::vector<std::unique_ptr<ChainPrior>> priors = {};
  std::optional<Codec> codec = {};
};

std::vector<Tensor> read_back(Codec& codec, const std::vector<uint8_t>& bytes) {
  const CodeFile file(bytes, "codes.elbo");
  const CodeReader reader(codec, file);
  std::vector<std::vector<Tensor>> parts(codec.alphabets().size());
  for (int64_t i = 0; i < file.header().num_streams(); ++i) {
    const auto codes = reader.stream(i);
    for (size_t level = 0; level < codes.size(); ++level) parts[level].push_back(codes[level]);
  }
  std::vector<Tensor> whole;
  for (const auto& level : parts) whole.push_back(torch::cat(level));
  return whole;
}

void expect_codes(const std::vector<Tensor>& got, const std::vector<Tensor>& expected) {
  ASSERT_EQ(got.size(), expected.size());
  for (size_t level = 0; level < got.size(); ++level) EXPECT_TRUE(got[level].equal(expected[level])) << "level " << level;
}

template <class Thrown, class Call>
std::string message_of(Call call) {
  try {
    call();
  } catch (const Thrown& error) {
    return error.what();
  }
  return "nothing was thrown";
}

const std::vector<FakeLevel> kOneLevel = {{4, 4, {16}}};
const std::vector<FakeLevel> kTwoLevels = {{2, 2, {8}}, {4, 4, {16, 16}}};

}  // namespace

TEST(Codec, CodesComeBackWhateverTheyAreAndThePrior) {
  const std::vector<std::vector<FakeLevel>> cases = {
      kOneLevel, kTwoLevels, {{1, 7, {2, 300, 5}}}, {{3, 2, {0, 0}}}, {{1, 1, {1}}}};
  for (size_t c = 0; c < cases.size(); ++c) {
    const bool chained = c < 2;
    Bed bed(cases[c], chained);
    const auto codes = draws(*bed.codec, 23);
    for (const auto prior : {CodingPrior::uniform, CodingPrior::empirical, CodingPrior::autoregressive}) {
      if (prior == CodingPrior::autoregressive && !chained) continue;
      for (const int64_t images : {0, 1, 7}) {
        const auto coded = compress_codes(*bed.codec, codes, {.prior = prior, .images_per_stream = images});
        expect_codes(read_back(*bed.codec, coded.bytes), codes);
        EXPECT_EQ(coded.report.num_streams, images == 0 ? 1 : (23 + images - 1) / images);
      }
    }
  }
}

TEST(Codec, TheSizeIsWhatTheReportSays) {
  Bed bed(kTwoLevels);
  const auto codes = draws(*bed.codec, 400);
  for (const auto prior : {CodingPrior::uniform, CodingPrior::empirical, CodingPrior::autoregressive}) {
    const auto coded = compress_codes(*bed.codec, codes, {.prior = prior, .images_per_stream = 100});
    const auto& report = coded.report;
    const auto name = name_of(prior);
    EXPECT_EQ(report.file_bytes, static_cast<int64_t>(coded.bytes.size())) << name;
    expect_codes(read_back(*bed.codec, coded.bytes), codes);  // a stream's images in more than one pass of the encoder
    const CodeFile file(coded.bytes, "codes.elbo");
    int64_t payload = 0;
    for (int64_t i = 0; i < 4; ++i) payload += static_cast<int64_t>(file.stream(i).size());
    EXPECT_EQ(report.payload_bytes, payload) << name;
    EXPECT_EQ(report.prior_bytes, static_cast<int64_t>(file.header().prior_data.size())) << name;
    const auto coded_bits = 8.0 * static_cast<double>(report.payload_bytes);
    EXPECT_GE(coded_bits, report.integer_bits) << name;
    EXPECT_LE(coded_bits, 1.01 * report.integer_bits + 4 * 64) << name;
    EXPECT_NEAR(report.integer_bits / report.model_bits, 1, 1e-3) << name;
  }
}

TEST(Codec, TheSameStreamsWhateverTheNumberOfThreads) {
  Bed bed(kTwoLevels);
  const auto codes = draws(*bed.codec, 20);
  const int before = at::get_num_threads();
  std::vector<std::vector<uint8_t>> files;
  for (const int threads : {1, 2, 4}) {
    at::set_num_threads(threads);
    files.push_back(compress_codes(*bed.codec, codes).bytes);
  }
  EXPECT_EQ(files[1], files[0]);
  EXPECT_EQ(files[2], files[0]);
  for (const int threads : {4, 2, 1}) {
    at::set_num_threads(threads);
    expect_codes(read_back(*bed.codec, files[0]), codes);
  }
  at::set_num_threads(before);
}

TEST(Codec, RatesOfKnownCodes) {
  Bed bed({{4, 4, {512}}}, /*with_priors=*/false);
  Stream noise(1, "draws", at::kCPU);
  const std::vector<Tensor> flat = {(noise.uniform({500}, {4, 4, 1}) * 512).to(torch::kLong)};
  const auto uniform = compress_codes(*bed.codec, flat, {.prior = CodingPrior::uniform, .images_per_stream = 500}).report;
  EXPECT_DOUBLE_EQ(*uniform.nominal_bits, 9.0 * 16 * 500);
  EXPECT_DOUBLE_EQ(uniform.model_bits, 9.0 * 16 * 500);
  EXPECT_NEAR(8.0 * static_cast<double>(uniform.payload_bytes) / (16 * 500), 9, 0.01);
  EXPECT_DOUBLE_EQ(uniform.bits_per_pixel(*uniform.nominal_bits), 9.0 * 16 / 64);
  EXPECT_EQ(uniform.prior_bytes, 0);

  // A quarter of the codes is 7, the rest 3: .811 bits a code.
  const auto quarter = torch::arange(500 * 16).remainder(4).eq(0);
  const std::vector<Tensor> skewed = {torch::where(quarter, 7, 3).view({500, 4, 4, 1})};
  const auto empirical = compress_codes(*bed.codec, skewed, {.prior = CodingPrior::empirical}).report;
  const double entropy = 8000 * (0.25 * 2 - 0.75 * std::log2(0.75));
  EXPECT_NEAR(empirical.entropy_bits, entropy, 1e-6);
  EXPECT_NEAR(empirical.model_bits, entropy, 1e-6);
  EXPECT_GT(empirical.prior_bytes, 0);
  EXPECT_GE(empirical.file_bytes, empirical.payload_bytes + empirical.prior_bytes + 60);
  EXPECT_NEAR(8.0 * static_cast<double>(empirical.payload_bytes), entropy, 0.01 * entropy);
}

TEST(Codec, LeftToItselfItTakesTheSmallerFileOrTheTrainedPrior) {
  Bed plain({{4, 4, {512}}}, /*with_priors=*/false);
  Stream noise(1, "draws", at::kCPU);
  const std::vector<Tensor> one = {(noise.uniform({1}, {4, 4, 1}) * 512).to(torch::kLong)};
  EXPECT_EQ(compress_codes(*plain.codec, one).report.prior, CodingPrior::uniform);  // 16 counts cost more than they save
  EXPECT_EQ(compress_codes(*plain.codec, draws(*plain.codec, 500)).report.prior, CodingPrior::empirical);
  Bed chained(kOneLevel);
  const auto codes = draws(*chained.codec, 200);
  const auto trained = compress_codes(*chained.codec, codes);
  EXPECT_EQ(trained.report.prior, CodingPrior::autoregressive);
  EXPECT_EQ(CodeFile(trained.bytes, "f").header().prior_hash, hash_of('b'));
  EXPECT_LT(trained.report.payload_bytes,
            compress_codes(*chained.codec, codes, {.prior = CodingPrior::empirical}).report.payload_bytes);
}

TEST(Codec, AStreamIsFoundWithoutThoseBeforeIt) {
  Bed bed(kTwoLevels);
  const auto codes = draws(*bed.codec, 10);
  const CodeFile file(compress_codes(*bed.codec, codes, {.images_per_stream = 4}).bytes, "codes.elbo");
  const auto last = CodeReader(*bed.codec, file).stream(2);
  expect_codes(last, {codes[0].narrow(0, 8, 2), codes[1].narrow(0, 8, 2)});
}

TEST(Codec, ImagesAreTheModelsOwn) {
  Bed bed({{4, 4, {64}}}, /*with_priors=*/false);
  Stream noise(1, "images", at::kCPU);
  const auto x = (noise.uniform({9}, {1, 8, 8}) * 255).round() / 255;
  int64_t asked = 0;
  std::vector<std::string> phases;
  const auto rows = [&](int64_t first, int64_t count) {
    EXPECT_EQ(first, asked);
    asked += count;
    return x.narrow(0, first, count);
  };
  const auto coded = compress_images(*bed.codec, rows, 9,
                                     {.prior = CodingPrior::uniform,
                                      .names = {"1", "2", "3", "4", "5", "6", "7", "8", "ä.png"},
                                      .progress = [&](std::string_view phase, int64_t done) {
                                        phases.push_back(std::string(phase) + " " + std::to_string(done));
                                      }});
  EXPECT_EQ(asked, 9);
  EXPECT_EQ(phases, (std::vector<std::string>{"encode 0", "encode 9", "code 0", "code 9"}));
  EXPECT_EQ(CodeFile(coded.bytes, "f").header().names.back(), "ä.png");
  const auto codes = bed.model.codes({.fields = {{"x", {.value = x}}}, .index = torch::arange(9)});
  const auto decoded = bed.codec->decode(read_back(*bed.codec, coded.bytes));
  EXPECT_TRUE(decoded.equal(at::upsample_nearest2d((codes[0].select(-1, 0).unsqueeze(1) / 64.0).to(torch::kFloat), {8, 8})));
  const auto shown = (decoded * 255).round() / 255;
  EXPECT_DOUBLE_EQ(*coded.report.psnr_db, psnr(x, shown).mean().item<double>());
  EXPECT_NE(*coded.report.psnr_db, psnr(x, decoded).mean().item<double>());
  EXPECT_FALSE(compress_codes(*bed.codec, codes).report.psnr_db);
}

TEST(Codec, TwoHundredDamagedFilesAreAllRefused) {
  Bed bed(kTwoLevels);
  const auto good = compress_codes(*bed.codec, draws(*bed.codec, 12), {.images_per_stream = 5}).bytes;
  std::mt19937 random(3);
  for (int i = 0; i < 200; ++i) {
    auto bad = good;
    const auto place = random() % bad.size();
    if (i % 4 == 0) {
      bad.resize(place);
    } else if (i % 4 == 1) {
      bad.insert(bad.begin() + static_cast<std::ptrdiff_t>(place), static_cast<uint8_t>(random()));
    } else {
      bad[place] ^= static_cast<uint8_t>(1U << random() % 8);
    }
    EXPECT_THROW(read_back(*bed.codec, bad), DataError) << "case " << i << ", byte " << place;
  }
}

// A checksum can be forged; what the streams then hold is refused or other codes, and no crash.
TEST(Codec, ForgedStreamsAreCodesOrErrors) {
  Bed bed(kTwoLevels);
  const auto coded = compress_codes(*bed.codec, draws(*bed.codec, 6)).bytes;
  const auto header = CodeFile(coded, "f").header();
  std::mt19937 random(5);
  int refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::vector<uint8_t> stream(random() % 120);
    for (auto& byte : stream) byte = static_cast<uint8_t>(random());
    const std::vector<std::vector<uint8_t>> streams = {stream};
    const auto bytes = pack_code_file(header, streams);
    try {
      const auto codes = read_back(*bed.codec, bytes);
      EXPECT_LT(codes[0].max().item<int64_t>(), 8);
      EXPECT_LT(codes[1].max().item<int64_t>(), 16);
    } catch (const DataError& error) {
      EXPECT_THAT(error.what(), StartsWith("codes.elbo: stream 0 (from byte "));
      ++refused;
    }
  }
  EXPECT_GT(refused, 50);
}

/// With a valid checksum, streams of whatever is in them and a header that promises these images.
std::vector<uint8_t> forged(Codec& codec, CodingPrior prior, int64_t images, const std::vector<uint8_t>& stream) {
  auto header = CodeFile(compress_codes(codec, draws(codec, 2), {.prior = prior}).bytes, "f").header();
  header.num_images = header.images_per_stream = images;
  return pack_code_file(header, std::vector<std::vector<uint8_t>>{stream});
}

TEST(Codec, FewBytesCantPromiseManyCodes) {
  Bed bed({{4, 4, {512}}});
  const auto small = forged(*bed.codec, CodingPrior::autoregressive, 16000, std::vector<uint8_t>(9, 255));
  EXPECT_THAT(message_of<DataError>([&] { CodeReader(*bed.codec, CodeFile(small, "codes.elbo")); }),
              AllOf(StartsWith("codes.elbo: stream 0 (from byte "),
                    HasSubstr("256,000 codes don't fit into 9 bytes; get the file again or compress anew")));
  const auto plain = forged(*bed.codec, CodingPrior::uniform, 1 << 20, std::vector<uint8_t>(9, 255));
  EXPECT_THAT(message_of<DataError>([&] { CodeReader(*bed.codec, CodeFile(plain, "codes.elbo")); }),
              HasSubstr("16,777,216 codes don't fit into 9 bytes"));
}

/// The likeliest codes over and over are what fewest bytes hold.
TEST(Codec, WhatAnyStreamNeedsIsLessThanWhatItTakes) {
  for (const int64_t V : {2, 16, 512}) {
    Bed bed({{4, 4, {V}}}, /*with_priors=*/false);
    const std::vector<Tensor> codes = {torch::ones({20000, 4, 4, 1}, torch::kLong)};
    const auto coded = compress_codes(*bed.codec, codes, {.prior = CodingPrior::empirical, .images_per_stream = 20000});
    EXPECT_LT(coded.report.payload_bytes, 1000) << V << " codes: not few";
    expect_codes(read_back(*bed.codec, coded.bytes), codes);
  }
}

TEST(Codec, AForgedStreamCostsNoMoreThanItHolds) {
  Bed bed({{4, 4, {512}}});
  std::mt19937 random(7);
  std::vector<uint8_t> stream(2000);
  for (auto& byte : stream) byte = static_cast<uint8_t>(random());
  const auto bytes = forged(*bed.codec, CodingPrior::autoregressive, 16384, stream);
  EXPECT_THAT(message_of<DataError>([&] { read_back(*bed.codec, bytes); }), HasSubstr("the codes end here"));
  // 16,000 bits are 2,000 to 5,000 codes of the first position; the passes over the other images are never begun.
  EXPECT_GT(bed.priors[0]->images_begun, 500);
  EXPECT_LT(bed.priors[0]->images_begun, 8000);
}

TEST(Codec, StreamsUnderATrainedPriorHoldFewerCodes) {
  Bed bed({{4, 4, {512}}});
  EXPECT_EQ(most_images_in_stream(CodingPrior::autoregressive, 16), 16384);
  EXPECT_EQ(most_images_in_stream(CodingPrior::uniform, 16), 1 << 20);
  EXPECT_EQ(most_images_in_stream(CodingPrior::autoregressive, kMaxCodesUnderPrior + 1), 1);
  EXPECT_THAT(message_of<UsageError>([&] { forged(*bed.codec, CodingPrior::autoregressive, 16385, {}); }),
              HasSubstr("a stream of 16385 images has more than 262144 codes; take fewer images for each"));
  const auto nothing = [](int64_t, int64_t) -> Tensor { throw std::logic_error("asked for rows"); };
  EXPECT_EQ(message_of<UsageError>([&] { compress_images(*bed.codec, nothing, 20000, {.images_per_stream = 20000}); }),
            "codec: a stream of 20000 images of 16 codes is more than one stream may hold; take at most 16,384 images a stream");
}

TEST(Codec, NamesThatNoFileHoldsAreRefusedBeforeImagesAreRead) {
  Bed plain(kOneLevel, /*with_priors=*/false);
  const auto nothing = [](int64_t, int64_t) -> Tensor { throw std::logic_error("asked for rows"); };
  const auto refusal = [&](const std::vector<std::string>& names) {
    return message_of<UsageError>([&] { compress_images(*plain.codec, nothing, 2, {.names = names}); });
  };
  EXPECT_EQ(refusal({"a\nb.png", "c"}), "codec: the name 'a\\nb.png' holds a control character; rename the picture");
  EXPECT_EQ(refusal({"a", "b\xff"}).find("codec: the name "), 0U);
  EXPECT_THAT(refusal({"a", "b\xff"}), HasSubstr("isn't UTF-8; rename the picture"));
  EXPECT_THAT(refusal({"a", std::string(300, 'b')}), HasSubstr("has 300 bytes, expected at most 255; rename the picture"));
  EXPECT_EQ(refusal({"a", "a"}), "codec: the name 'a' stands twice; rename the picture");
  EXPECT_EQ(refusal({"a", "../b"}), "codec: the name '../b' names no file; rename the picture");
  EXPECT_EQ(refusal({"a"}), "codec: got 1 names for 2 images, expected as many or none");
}

TEST(Codec, ADecoderThatComputesOtherProbabilitiesIsFound) {
  Bed bed(kOneLevel);
  const auto coded = compress_codes(*bed.codec, draws(*bed.codec, 30)).bytes;
  bed.priors[0]->fault = 0.25;
  const auto message = message_of<DataError>([&] { read_back(*bed.codec, coded); });
  EXPECT_THAT(message, HasSubstr("the stream is damaged, or this isn't the model that it was coded with"));
}

TEST(Codec, AnotherModelOrPriorIsRefused) {
  Bed bed(kOneLevel);
  const auto codes = draws(*bed.codec, 3);
  const auto trained = compress_codes(*bed.codec, codes).bytes;
  const auto uniform = compress_codes(*bed.codec, codes, {.prior = CodingPrior::uniform}).bytes;
  const auto read_by = [&](const std::vector<uint8_t>& bytes, const CodecParts& parts) {
    Codec codec(parts);
    return message_of<DataError>([&] { read_back(codec, bytes); });
  };
  auto other = bed.codec->parts();
  other.model_hash = hash_of('c');
  EXPECT_THAT(read_by(trained, other),
              HasSubstr("made with the model of hash aaaaaaaaaaaaaaaa…, not with this one, cccccccccccccccc…"));
  other = bed.codec->parts();
  other.prior_hash = hash_of('c');
  EXPECT_THAT(read_by(trained, other),
              HasSubstr("made with the prior of hash bbbbbbbbbbbbbbbb…, not with this one, cccccccccccccccc…"));
  EXPECT_EQ(read_by(uniform, other), "nothing was thrown");
  auto base = parts_of(bed.model);
  EXPECT_EQ(read_by(uniform, base), "nothing was thrown");
  EXPECT_THAT(read_by(trained, base), AllOf(HasSubstr("made with the prior of hash bbbbbbbbbbbbbbbb…, "), HasSubstr("none")));
  FakeModel finer({{4, 4, {32}}});
  EXPECT_EQ(read_by(uniform, parts_of(finer)),
            "codes.elbo: its images and codes have other extents than the model's; decompress with the run that compressed it");
  EXPECT_THAT(read_by(uniform, parts_of(bed.model, 16)), HasSubstr("other extents"));
}

TEST(Codec, WhatCantBeCodedIsToldBeforehand) {
  Bed plain(kOneLevel, /*with_priors=*/false);
  const auto codes = draws(*plain.codec, 3);
  EXPECT_EQ(message_of<UsageError>([&] { compress_codes(*plain.codec, codes, {.prior = CodingPrior::autoregressive}); }),
            "prior autoregressive: there is none here");
  const auto nothing = [](int64_t, int64_t) -> Tensor { throw std::logic_error("asked for rows"); };
  EXPECT_EQ(message_of<UsageError>([&] { compress_images(*plain.codec, nothing, 3, {.prior = CodingPrior::autoregressive}); }),
            "prior autoregressive: there is none here");
  EXPECT_EQ(message_of<UsageError>([&] { compress_images(*plain.codec, nothing, 0); }), "codec: there is no image to compress");
  EXPECT_EQ(
      message_of<UsageError>([&] { compress_codes(*plain.codec, {codes[0] + 16}, {.prior = CodingPrior::empirical}); }),
      "codec: got the code " + std::to_string(codes[0].flatten()[0].item<int64_t>() + 16) + " in level 0, expected 0 to 15");
  EXPECT_THROW(compress_codes(*plain.codec, {codes[0] - 100}, {.prior = CodingPrior::uniform}), UsageError);
  EXPECT_THAT(message_of<UsageError>([&] {
                compress_codes(*plain.codec, codes, {.names = {"a", "a", "b"}});
              }),
              HasSubstr("stands twice"));

  FakeModel vast({{4, 4, {int64_t{1} << 22}}});
  EXPECT_THAT(message_of<UsageError>([&] { Codec{parts_of(vast)}; }), HasSubstr("4,194,304 codes, more than the 2,097,152"));
  auto table = parts_of(vast);
  table.spec.at("x").kind = ValueKind::table;
  EXPECT_THAT(message_of<UsageError>([&] { Codec{table}; }), HasSubstr("elbo encode writes the codes of any data"));
  Bed bed(kOneLevel);
  auto finer = parts_of(vast);
  FakeModel other({{2, 4, {16}}});
  finer.model = &other;
  finer.priors = bed.codec->parts().priors;
  EXPECT_THAT(message_of<UsageError>([&] { Codec{finer}; }), HasSubstr("the prior of level 0 is over other codes"));
}

TEST(Codec, TheReportAsTextAndAsJson) {
  CodingReport report{.prior = CodingPrior::empirical,
                      .num_images = 10,
                      .pixels_per_image = 100,
                      .values_per_image = 300,
                      .codes_per_image = 4,
                      .num_streams = 2,
                      .nominal_bits = 360,
                      .entropy_bits = 300,
                      .model_bits = 300,
                      .integer_bits = 300.5,
                      .payload_bytes = 40,
                      .prior_bytes = 20,
                      .file_bytes = 125,
                      .psnr_db = 25.004};
  const auto shown = to_text(report);
  EXPECT_THAT(shown, HasSubstr("nominal, log2 V a code                         36.00      0.3600    0.1200\n"));
  EXPECT_THAT(shown, HasSubstr("coded, 2 streams                      40       32.00      0.3200    0.1067\n"));
  EXPECT_THAT(shown, HasSubstr("the whole file                       125      100.00      1.0000    0.3333\n"));
  EXPECT_THAT(shown, HasSubstr("PSNR 25.00 dB of 8-bit images"));
  const auto json = to_json(report);
  EXPECT_EQ(json["prior"], "empirical");
  EXPECT_EQ(json["bits_per_pixel"], 1.0);
  EXPECT_EQ(json["bits_per_dim"], 1000.0 / 3000);
  EXPECT_EQ(json["bits_per_image"], 100.0);
  EXPECT_EQ(json["psnr_db"], 25.004);
  report.nominal_bits.reset();
  report.psnr_db.reset();
  EXPECT_FALSE(to_json(report).contains("nominal_bits"));
  EXPECT_FALSE(to_json(report).contains("psnr_db"));
}

}  // namespace elbo::codec_test
