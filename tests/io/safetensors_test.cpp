#include "elbo/io/safetensors.h"

#include <gmock/gmock.h>

#include "io_support.h"

namespace safetensors_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

TEST(Safetensors, ReadsBackWhatItWrote) {
  Scratch scratch;
  const std::vector<float> weight = {1, 2, 3, 4, 5, 6};
  const std::vector<int64_t> step = {1234};
  const std::vector<uint8_t> flags = {1, 0, 1};
  write_safetensors(scratch / "m",
                    {{"flags", view_of(DType::boolean, {3}, flags)},
                     {"encoder.weight", view_of(DType::f32, {2, 3}, weight)},
                     {"step", view_of(DType::i64, {}, step)},
                     {"none", view_of(DType::f32, {0, 4}, std::vector<float>{})}},
                    {{"format", "pt"}, {"quote\"", "né\n"}});
  const SafetensorsFile file(scratch / "m");
  EXPECT_THAT(file.names(), ElementsAre("step", "encoder.weight", "none", "flags"));
  EXPECT_THAT(file.metadata(), ElementsAre(Pair("format", "pt"), Pair("quote\"", "né\n")));
  EXPECT_TRUE(file.contains("step"));
  EXPECT_FALSE(file.contains("steps"));
  EXPECT_THAT(file.info("encoder.weight").shape, ElementsAre(2, 3));
  EXPECT_EQ(file.info("encoder.weight").num_bytes, 24u);
  EXPECT_EQ(values_of<float>(file.read("encoder.weight")), weight);
  EXPECT_EQ(values_of<int64_t>(file.read("step")), step);
  EXPECT_EQ(values_of<uint8_t>(file.read("flags")), flags);
  EXPECT_THAT(file.read("none").shape, ElementsAre(0, 4));
  EXPECT_EQ(message_of<CheckpointError>([&] { file.read("steps"); }),
            (scratch / "m").string() + ": no tensor named 'steps' among its 4; check that the file belongs to this model");
}

TEST(Safetensors, EveryTensorIsAlignedToItsType) {
  Scratch scratch;
  const std::vector<uint8_t> bytes = {1, 2, 3};
  const std::vector<int16_t> halves = {1};
  const std::vector<double> doubles = {1};
  write_safetensors(scratch / "m", {{"u", view_of(DType::u8, {3}, bytes)},
                                    {"h", view_of(DType::f16, {1}, halves)},
                                    {"d", view_of(DType::f64, {1}, doubles)},
                                    {"b", view_of(DType::bf16, {1}, halves)}});
  const SafetensorsFile file(scratch / "m");
  EXPECT_THAT(file.names(), ElementsAre("d", "h", "b", "u"));
  for (const auto& name : file.names()) EXPECT_EQ(file.info(name).offset % size_of(file.info(name).dtype), 0u) << name;
  EXPECT_EQ(file.info("d").offset % 8, 0u);
}

TEST(Safetensors, TheBytesAreTheFormatsOwn) {
  Scratch scratch;
  write_safetensors(scratch / "m", {{"a", view_of(DType::u8, {2}, std::vector<uint8_t>{65, 66})}}, {{"k", "v"}});
  std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(slurp(scratch / "m"), safetensors_file(header, "AB"));
  write_safetensors(scratch / "none", {});
  EXPECT_EQ(slurp(scratch / "none"), safetensors_file("{}      ", ""));
  EXPECT_THAT(SafetensorsFile(scratch / "none").names(), IsEmpty());
}

TEST(Safetensors, ReadsHeadersInAnyOrder) {
  Scratch scratch;
  const SafetensorsFile file(spill(
      scratch / "m",
      safetensors_file(
          R"({"b":{"data_offsets":[1,3],"shape":[2],"dtype":"I8"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})", "xyz")));
  EXPECT_THAT(file.names(), ElementsAre("a", "b"));
  EXPECT_THAT(values_of<char>(file.read("b")), ElementsAre('y', 'z'));
}

TEST(Safetensors, RefusesToWriteWhatNobodyCouldRead) {
  Scratch scratch;
  const std::vector<float> one = {1};
  const auto view = view_of(DType::f32, {1}, one);
  EXPECT_THAT(message_of<UsageError>([&] {
                write_safetensors(scratch / "m", {{"a", view}, {"a", view}});
              }),
              HasSubstr("two tensors are named 'a'"));
  message_of<UsageError>([&] { write_safetensors(scratch / "m", {{"", view}}); });
  message_of<UsageError>([&] { write_safetensors(scratch / "m", {{"__metadata__", view}}); });
  message_of<UsageError>([&] { write_safetensors(scratch / "m", {{"\xff\xfe", view}}); });
  message_of<UsageError>([&] { write_safetensors(scratch / "m", {{"a", view_of(DType::f32, {2}, one)}}); });
  EXPECT_THAT(scratch.names(), IsEmpty());
}

TEST(Safetensors, StaysOpenWhenMovedAndWhenTheNameIsGone) {
  Scratch scratch;
  write_safetensors(scratch / "m", {{"a", view_of(DType::u8, {1}, std::vector<uint8_t>{9})}});
  SafetensorsFile first(scratch / "m");
  std::filesystem::remove(scratch / "m");
  const SafetensorsFile second(std::move(first));
  EXPECT_THAT(values_of<uint8_t>(second.read("a")), ElementsAre(9));
}

}  // namespace
}  // namespace safetensors_test
