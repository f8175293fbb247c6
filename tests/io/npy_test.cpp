#include "elbo/io/npy.h"

#include <gmock/gmock.h>

#include "io_support.h"

namespace npy_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

TEST(Npy, ReadsEveryVersionAndSpelling) {
  Scratch scratch;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  for (const std::string& dict :
       {npy_dict("<f4", "(2, 3)"), std::string("{\"shape\":(2,3),\"fortran_order\":False,\"descr\":\"<f4\"}"),
        std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3,), }      \n")}) {
    for (const int version : {1, 2, 3}) {
      const auto path = spill(scratch / "a", npy_file(dict, raw(values), version));
      const auto array = read_npy(path);
      EXPECT_EQ(array.dtype, DType::f32);
      EXPECT_THAT(array.shape, ElementsAre(2, 3));
      EXPECT_EQ(values_of<float>(array), values);
      EXPECT_EQ(read_npy_header(path).data_offset, dict.size() + (version == 1 ? 10u : 12u));
    }
  }
}

TEST(Npy, ReadsScalarsEmptyArraysAndAllTypes) {
  Scratch scratch;
  const auto read = [&](const std::string& descr, const std::string& shape, const std::string& data) {
    return read_npy(spill(scratch / "a", npy_file(npy_dict(descr, shape), data)));
  };
  EXPECT_THAT(read("<i8", "()", little_endian(7, 8)).shape, IsEmpty());
  EXPECT_THAT(read("<i8", "(0, 5)", "").shape, ElementsAre(0, 5));
  EXPECT_EQ(read("|u1", "(1,)", "a").dtype, DType::u8);
  EXPECT_EQ(read("|i1", "(1,)", "a").dtype, DType::i8);
  EXPECT_EQ(read("<i2", "(1,)", "ab").dtype, DType::i16);
  EXPECT_EQ(read("<i4", "(1,)", "abcd").dtype, DType::i32);
  EXPECT_EQ(read("<f2", "(1,)", "ab").dtype, DType::f16);
  EXPECT_EQ(read("<f8", "(1,)", "abcdefgh").dtype, DType::f64);
  EXPECT_EQ(read("|b1", "(2,)", std::string("\0\1", 2)).dtype, DType::boolean);
  EXPECT_THAT(values_of<int32_t>(read(">i4", "(2,)", big_endian(1, 4) + big_endian(258, 4))), ElementsAre(1, 258));
  EXPECT_THAT(values_of<double>(read(">f8", "(1,)", big_endian(0x3ff8000000000000, 8))), ElementsAre(1.5));
}

TEST(Npy, TurnsColumnMajorIntoRowMajor) {
  Scratch scratch;
  // a[i, j, k] = 100 i + 10 j + k of shape (2, 3, 2), first index fastest.
  std::vector<int16_t> column_major;
  std::vector<int16_t> row_major;
  for (int k = 0; k < 2; ++k)
    for (int j = 0; j < 3; ++j)
      for (int i = 0; i < 2; ++i) column_major.push_back(static_cast<int16_t>(100 * i + 10 * j + k));
  for (int i = 0; i < 2; ++i)
    for (int j = 0; j < 3; ++j)
      for (int k = 0; k < 2; ++k) row_major.push_back(static_cast<int16_t>(100 * i + 10 * j + k));
  const auto path = spill(scratch / "a", npy_file(npy_dict("<i2", "(2, 3, 2)", "True"), raw(column_major)));
  EXPECT_TRUE(read_npy_header(path).fortran_order);
  EXPECT_EQ(values_of<int16_t>(read_npy(path)), row_major);
}

TEST(Npy, WritesWhatNumpyWrites) {
  Scratch scratch;
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  write_npy(scratch / "a", view_of(DType::f32, {2, 3}, values));
  // numpy.save of the same array, numpy 2: 128 bytes of header.
  auto dict = std::string("{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }");
  dict.resize(117, ' ');
  EXPECT_EQ(slurp(scratch / "a"), npy_file(dict + "\n", raw(values)));
  write_npy(scratch / "b", view_of(DType::i64, {1}, std::vector<int64_t>{5}));
  EXPECT_THAT(slurp(scratch / "b"), HasSubstr("'shape': (1,), }"));
  write_npy(scratch / "c", view_of(DType::i64, {}, std::vector<int64_t>{5}));
  EXPECT_THAT(slurp(scratch / "c"), HasSubstr("'shape': (), }"));
  EXPECT_THAT(values_of<int64_t>(read_npy(scratch / "c")), ElementsAre(5));
}

TEST(Npy, RefusesToWriteWhatNumpyCantRead) {
  Scratch scratch;
  EXPECT_THAT(message_of<UsageError>([&] { write_npy(scratch / "a", view_of(DType::bf16, {1}, std::vector<int16_t>{1})); }),
              HasSubstr("bfloat16, which NPY files can't hold; convert it to float32"));
  EXPECT_THAT(message_of<UsageError>([&] { write_npy(scratch / "a", view_of(DType::f32, {3}, std::vector<float>{1})); }),
              HasSubstr("is 3 float32 but has 4 bytes"));
  EXPECT_THAT(scratch.names(), IsEmpty());
}

TEST(Npz, ReadsBackWhatItWrote) {
  Scratch scratch;
  const std::vector<float> z = {1, 2, 3, 4};
  const std::vector<int64_t> label = {7};
  write_npz(scratch / "a.npz", {{"z", view_of(DType::f32, {2, 2}, z)},
                                {"deep/label", view_of(DType::i64, {1}, label)},
                                {"empty", view_of(DType::f32, {0, 3}, std::vector<float>{})}});
  const NpzReader reader(scratch / "a.npz");
  EXPECT_THAT(reader.names(), ElementsAre("z", "deep/label", "empty"));
  EXPECT_THAT(reader.read("empty").shape, ElementsAre(0, 3));
  EXPECT_TRUE(reader.contains("z"));
  EXPECT_FALSE(reader.contains("q"));
  EXPECT_THAT(reader.header("z").shape, ElementsAre(2, 2));
  EXPECT_EQ(values_of<float>(reader.read("z")), z);
  EXPECT_EQ(values_of<int64_t>(reader.read("deep/label")), label);
  EXPECT_EQ(message_of<DataError>([&] { reader.read("q"); }),
            (scratch / "a.npz").string() + ": byte 0: no array named 'q'; it has: z, deep/label, empty");
}

TEST(Npz, TheSameArraysGiveTheSameBytes) {
  Scratch scratch;
  const std::vector<float> z = {1, 2, 3, 4};
  for (const char* name : {"a", "b"}) write_npz(scratch / name, {{"z", view_of(DType::f32, {4}, z)}});
  EXPECT_EQ(slurp(scratch / "a"), slurp(scratch / "b"));
  EXPECT_EQ(slurp(scratch / "a").substr(10, 4), std::string("\0\0\x21\0", 4));  // the first moment of 1980, not now
  EXPECT_THAT(scratch.names(), ElementsAre("a", "b"));
  write_npz(scratch / "none", {});
  EXPECT_THAT(NpzReader(scratch / "none").names(), IsEmpty());
}

TEST(Npz, ReadsDeflatedEntriesAndPassesOverOthers) {
  Scratch scratch;
  const std::vector<double> values(100'000, 2.5);
  const auto contents = npy_file(npy_dict("<f8", "(100000,)"), raw(values));
  const auto path = spill(scratch / "a", zip_file({stored_entry("README", "hi"), deflated_entry("x.npy", contents)}));
  const NpzReader reader(path);
  EXPECT_THAT(reader.names(), ElementsAre("x"));
  EXPECT_EQ(values_of<double>(reader.read("x")), values);
}

TEST(Npz, RefusesBadNames) {
  Scratch scratch;
  const std::vector<float> z = {1};
  const auto view = view_of(DType::f32, {1}, z);
  for (const char* name : {"", "../z", "a/../z", "/z", "a\\z", "a\nz"}) {
    EXPECT_THAT(message_of<UsageError>([&] {
                  write_npz(scratch / "a", {{name, view}});
                }),
                HasSubstr("is no name for an array"))
        << name;
  }
  EXPECT_THAT(message_of<UsageError>([&] {
                write_npz(scratch / "a", {{"z", view}, {"z", view}});
              }),
              HasSubstr("two arrays are named 'z'"));
  EXPECT_THAT(scratch.names(), IsEmpty());
}

}  // namespace
}  // namespace npy_test
