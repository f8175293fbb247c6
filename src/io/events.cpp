#include "elbo/io/events.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <cmath>
#include <limits>
#include <vector>

#include "elbo/io/crc32c.h"
#include "system.h"

// The protocol buffers of tensorflow/core/util/event.proto and framework/summary.proto, written field by field.
namespace elbo {
namespace {

/// A protocol buffer message under construction; the numbers are those of the .proto files.
class Message {
 public:
  Message& varint(uint32_t field, uint64_t value) {
    put_varint(field << 3);
    put_varint(value);
    return *this;
  }
  Message& float64(uint32_t field, double value) {
    put_varint(field << 3 | 1);
    put_fixed(std::bit_cast<uint64_t>(value), 8);
    return *this;
  }
  Message& float32(uint32_t field, float value) {
    put_varint(field << 3 | 5);
    put_fixed(std::bit_cast<uint32_t>(value), 4);
    return *this;
  }
  Message& bytes(uint32_t field, std::string_view value) {
    put_varint(field << 3 | 2);
    put_varint(value.size());
    text_ += value;
    return *this;
  }
  Message& float64s(uint32_t field, std::span<const double> values) {
    Message packed;
    for (const double value : values) packed.put_fixed(std::bit_cast<uint64_t>(value), 8);
    return bytes(field, packed.text());
  }
  const std::string& text() const { return text_; }

 private:
  void put_varint(uint64_t value) {
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>((value & 0x7f) | 0x80);
    text_ += static_cast<char>(value);
  }
  void put_fixed(uint64_t value, int num_bytes) {
    for (int i = 0; i < num_bytes; ++i) text_ += static_cast<char>(value >> 8 * i);
  }

  std::string text_;
};

double seconds_now() { return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count(); }

std::string host_name() {
  std::array<char, 256> name = {};
  if (::gethostname(name.data(), name.size() - 1) != 0 || name[0] == '\0') return "localhost";
  std::string text = name.data();
  std::replace(text.begin(), text.end(), '/', '_');
  return text;
}

/// The conversion of a double that no float can hold is undefined.
float to_float(double value) {
  constexpr double kLargest = std::numeric_limits<float>::max();
  if (std::abs(value) <= kLargest || std::isnan(value)) return static_cast<float>(value);
  return std::copysign(std::numeric_limits<float>::infinity(), static_cast<float>(std::copysign(1.0, value)));
}

/// HistogramProto: equal buckets between the smallest and the largest value; bucket i ends at limits[i].
Message histogram_of(std::vector<double> values) {
  constexpr size_t kNumBuckets = 50;
  std::erase_if(values, [](double value) { return !std::isfinite(value); });
  if (values.empty()) return Message().float64s(6, std::array{0.0}).float64s(7, std::array{0.0});
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  const double min = *low;
  const double max = *high;
  const size_t count = max / kNumBuckets > min / kNumBuckets ? kNumBuckets : 1;
  std::vector<double> limits(count);
  // std::lerp rises with t, ends in max and doesn't overflow.
  for (size_t i = 0; i < count; ++i) limits[i] = std::lerp(min, max, static_cast<double>(i + 1) / static_cast<double>(count));
  std::vector<double> buckets(count, 0.0);
  double sum = 0;
  double sum_squares = 0;
  for (const double value : values) {
    const auto place = std::lower_bound(limits.begin(), limits.end() - 1, value);
    buckets[static_cast<size_t>(place - limits.begin())] += 1;
    sum += value;
    sum_squares += value * value;
  }
  Message message;
  message.float64(1, min).float64(2, max).float64(3, static_cast<double>(values.size())).float64(4, sum).float64(5, sum_squares);
  return message.float64s(6, limits).float64s(7, buckets);
}

}  // namespace

EventWriter EventWriter::create(const std::filesystem::path& folder) {
  const auto prefix = "events.out.tfevents." + std::to_string(static_cast<int64_t>(seconds_now())) + "." + host_name();
  auto path = folder / (prefix + ".elbo");
  // TensorBoard reads the files of a folder in the order of their names.
  for (int i = 1; std::filesystem::exists(path); ++i) path = folder / (prefix + "." + std::to_string(i) + ".elbo");
  EventWriter writer{AppendFile(path)};
  writer.record(Message().float64(1, seconds_now()).bytes(3, "brain.Event:2").text());
  return writer;
}

EventWriter EventWriter::reopen(const std::filesystem::path& path, uint64_t num_bytes) {
  AppendFile::truncate_to(path, num_bytes);
  return EventWriter(AppendFile(path));
}

void EventWriter::scalar(std::string_view tag, double value, int64_t step) {
  summary(Message().bytes(1, tag).float32(2, to_float(value)).text(), step);
}

void EventWriter::image(std::string_view tag, const Image& image, int64_t step) {
  Message message;
  message.varint(1, static_cast<uint64_t>(image.height)).varint(2, static_cast<uint64_t>(image.width));
  message.varint(3, static_cast<uint64_t>(image.channels)).bytes(4, encode_png(image));
  summary(Message().bytes(1, tag).bytes(4, message.text()).text(), step);
}

void EventWriter::histogram(std::string_view tag, std::span<const double> values, int64_t step) {
  const auto message = histogram_of(std::vector<double>(values.begin(), values.end()));
  summary(Message().bytes(1, tag).bytes(5, message.text()).text(), step);
}

void EventWriter::summary(std::string_view value, int64_t step) {
  const auto summary = Message().bytes(1, value);
  record(Message().float64(1, seconds_now()).varint(2, static_cast<uint64_t>(step)).bytes(5, summary.text()).text());
}

/// TFRecord: length, its checksum, the bytes, their checksum.
void EventWriter::record(std::string_view event) {
  std::string out;
  const auto put = [&out](uint64_t value, int num_bytes) {
    for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(value >> 8 * i);
  };
  put(event.size(), 8);
  put(masked_crc32c(detail::as_bytes(out)), 4);
  out += event;
  put(masked_crc32c(detail::as_bytes(event)), 4);
  file_.append(out);
}

}  // namespace elbo
