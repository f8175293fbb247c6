#include "elbo/io/events.h"

#include <gmock/gmock.h>

#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <map>

#include "elbo/io/crc32c.h"
#include "io_support.h"

namespace events_test {
namespace {

using namespace elbo;
using namespace io_test;
using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// The fields of a protocol buffer message by number: varints and fixed values as integers, the rest as bytes.
struct Decoded {
  std::multimap<int, uint64_t> numbers;
  std::multimap<int, std::string> texts;

  uint64_t number(int field) const { return numbers.find(field)->second; }
  double float64(int field) const { return std::bit_cast<double>(number(field)); }
  float float32(int field) const { return std::bit_cast<float>(static_cast<uint32_t>(number(field))); }
  const std::string& text(int field) const { return texts.find(field)->second; }
  std::vector<double> doubles(int field) const {
    std::vector<double> values(text(field).size() / 8);
    std::memcpy(values.data(), text(field).data(), text(field).size());
    return values;
  }
};

uint64_t fixed(std::string_view bytes) {
  uint64_t value = 0;
  for (size_t i = bytes.size(); i-- > 0;) value = value << 8 | static_cast<unsigned char>(bytes[i]);
  return value;
}

Decoded decode(std::string_view bytes) {
  Decoded message;
  const auto take = [&bytes](size_t count) {
    const auto taken = bytes.substr(0, count);
    bytes.remove_prefix(count);
    return taken;
  };
  const auto varint = [&] {
    uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(take(1).at(0));
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
  };
  while (!bytes.empty()) {
    const uint64_t key = varint();
    const int field = static_cast<int>(key >> 3);
    switch (key & 7) {
      case 0:
        message.numbers.emplace(field, varint());
        break;
      case 1:
        message.numbers.emplace(field, fixed(take(8)));
        break;
      case 2:
        message.texts.emplace(field, take(varint()));
        break;
      case 5:
        message.numbers.emplace(field, fixed(take(4)));
        break;
      default:
        ADD_FAILURE() << "wire type " << (key & 7);
        return message;
    }
  }
  return message;
}

/// The events of a file; every length and checksum is compared.
std::vector<Decoded> events_of(const std::filesystem::path& path) {
  const auto bytes = slurp(path);
  const auto masked = [](const std::string& text) { return masked_crc32c(std::as_bytes(std::span(text))); };
  std::vector<Decoded> events;
  for (size_t at = 0; at < bytes.size();) {
    const auto length = fixed(bytes.substr(at, 8));
    EXPECT_EQ(fixed(bytes.substr(at + 8, 4)), masked(bytes.substr(at, 8)));
    const auto body = bytes.substr(at + 12, length);
    EXPECT_EQ(fixed(bytes.substr(at + 12 + length, 4)), masked(body));
    events.push_back(decode(body));
    at += 16 + length;
    EXPECT_LE(at, bytes.size());
  }
  return events;
}

Decoded value_of(const Decoded& event) { return decode(decode(event.text(5)).text(1)); }

double seconds_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

TEST(Events, StartsWithTheVersionAndHoldsScalars) {
  Scratch scratch;
  const double before = seconds_now();
  auto writer = EventWriter::create(scratch.path());
  writer.scalar("train/bound", -104.5, 300);
  writer.scalar("x", 1e300, -1);
  writer.scalar("x", std::nan(""), int64_t{1} << 40);
  writer.flush();
  EXPECT_THAT(writer.path().filename().string(), testing::MatchesRegex("events\\.out\\.tfevents\\.[0-9]+\\..+\\.elbo"));
  EXPECT_EQ(writer.size(), std::filesystem::file_size(writer.path()));
  const auto events = events_of(writer.path());
  ASSERT_THAT(events, SizeIs(4));
  EXPECT_EQ(events[0].text(3), "brain.Event:2");
  for (const auto& event : events) {
    EXPECT_GE(event.float64(1), before);
    EXPECT_LE(event.float64(1), seconds_now());
  }
  EXPECT_EQ(events[1].number(2), 300u);
  EXPECT_EQ(value_of(events[1]).text(1), "train/bound");
  EXPECT_EQ(value_of(events[1]).float32(2), -104.5f);
  EXPECT_EQ(static_cast<int64_t>(events[2].number(2)), -1);
  EXPECT_EQ(value_of(events[2]).float32(2), std::numeric_limits<float>::infinity());
  EXPECT_EQ(events[3].number(2), uint64_t{1} << 40);
  EXPECT_TRUE(std::isnan(value_of(events[3]).float32(2)));
}

TEST(Events, TheBytesOfAScalarAreTheFormatsOwn) {
  Scratch scratch;
  auto writer = EventWriter::create(scratch.path());
  const uint64_t start = writer.size();
  writer.scalar("ab", 1.0, 5);
  const auto record = slurp(writer.path()).substr(start);
  using namespace std::string_literals;
  const auto time = record.substr(13, 8);  // the only part that differs from run to run
  EXPECT_EQ(record.substr(12, record.size() - 16), "\x09"s + time +
                                                       "\x10\x05\x2a\x0b\x0a\x09\x0a\x02"
                                                       "ab\x15\x00\x00\x80\x3f"s);
}

TEST(Events, HoldsImagesAsPng) {
  Scratch scratch;
  const Image image = {.width = 2, .height = 1, .channels = 3, .pixels = {1, 2, 3, 4, 5, 6}};
  auto writer = EventWriter::create(scratch.path());
  writer.image("samples", image, 7);
  const auto value = value_of(events_of(writer.path()).at(1));
  EXPECT_EQ(value.text(1), "samples");
  const auto shown = decode(value.text(4));
  EXPECT_EQ(shown.number(1), 1u);
  EXPECT_EQ(shown.number(2), 2u);
  EXPECT_EQ(shown.number(3), 3u);
  EXPECT_EQ(shown.text(4), encode_png(image));
}

TEST(Events, AHistogramCountsEveryFiniteValueOnce) {
  Scratch scratch;
  std::vector<double> values;
  for (int i = 0; i <= 100; ++i) values.push_back(i);
  values.push_back(std::nan(""));
  values.push_back(std::numeric_limits<double>::infinity());
  auto writer = EventWriter::create(scratch.path());
  writer.histogram("h", values, 1);
  const auto histogram = decode(value_of(events_of(writer.path()).at(1)).text(5));
  EXPECT_EQ(histogram.float64(1), 0);
  EXPECT_EQ(histogram.float64(2), 100);
  EXPECT_EQ(histogram.float64(3), 101);
  EXPECT_EQ(histogram.float64(4), 5050);
  EXPECT_EQ(histogram.float64(5), 338350);
  const auto limits = histogram.doubles(6);
  const auto buckets = histogram.doubles(7);
  ASSERT_EQ(limits.size(), 50u);
  ASSERT_EQ(buckets.size(), 50u);
  EXPECT_EQ(buckets[0], 3);  // 0, 1, 2: a bucket holds its upper limit
  EXPECT_EQ(buckets[49], 2);
  EXPECT_EQ(limits[49], 100);
  EXPECT_DOUBLE_EQ(limits[0], 2);
}

TEST(Events, HistogramsOfNothingOneValueAndExtremesAreWellFormed) {
  Scratch scratch;
  auto writer = EventWriter::create(scratch.path());
  constexpr double kHuge = std::numeric_limits<double>::max();
  writer.histogram("h", {}, 1);
  writer.histogram("h", std::vector<double>{3, 3}, 2);
  writer.histogram("h", std::vector<double>{-kHuge, 0, kHuge}, 3);
  writer.histogram("h", std::vector<double>{0, 5e-324}, 4);
  writer.histogram("h", std::vector<double>{1, 1 + 1e-15, 1 + 3e-15}, 5);
  const auto events = events_of(writer.path());
  ASSERT_THAT(events, SizeIs(6));
  const std::vector<double> counts = {0, 2, 3, 2, 3};
  for (size_t i = 0; i < counts.size(); ++i) {
    const auto histogram = decode(value_of(events[i + 1]).text(5));
    const auto limits = histogram.doubles(6);
    const auto buckets = histogram.doubles(7);
    ASSERT_EQ(limits.size(), buckets.size());
    ASSERT_FALSE(limits.empty());
    double sum = 0;
    for (const double bucket : buckets) sum += bucket;
    EXPECT_EQ(sum, counts[i]);
    EXPECT_TRUE(std::is_sorted(limits.begin(), limits.end()));
    for (const double limit : limits) EXPECT_TRUE(std::isfinite(limit));
  }
}

TEST(Events, GoesOnAfterBeingCutBack) {
  Scratch scratch;
  std::filesystem::path path;
  uint64_t recorded = 0;
  {
    auto writer = EventWriter::create(scratch.path());
    path = writer.path();
    writer.scalar("a", 1, 1);
    writer.flush();
    recorded = writer.size();
    writer.scalar("a", 2, 2);
  }
  auto writer = EventWriter::reopen(path, recorded);
  EXPECT_EQ(writer.size(), recorded);
  writer.scalar("a", 3, 3);
  const auto events = events_of(path);
  ASSERT_THAT(events, SizeIs(3));
  EXPECT_EQ(value_of(events[1]).float32(2), 1.0f);
  EXPECT_EQ(value_of(events[2]).float32(2), 3.0f);
  message_of<CheckpointError>([&] { EventWriter::reopen(path, 1'000'000); });
}

TEST(Events, ASecondWriterTakesAnotherFile) {
  Scratch scratch;
  const auto first = EventWriter::create(scratch.path());
  const auto second = EventWriter::create(scratch.path());
  EXPECT_NE(first.path(), second.path());
  EXPECT_THAT(events_of(first.path()), SizeIs(1));
  EXPECT_THAT(events_of(second.path()), SizeIs(1));
}

}  // namespace
}  // namespace events_test
