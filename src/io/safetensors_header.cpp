#include "safetensors_header.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <optional>

namespace elbo::detail {
namespace {

using nlohmann::json;

constexpr uint64_t kStart = 8;
constexpr const char* kRemedy = "; the file is damaged or no safetensors file: get it again";

struct Code {
  std::string_view text;
  DType dtype;
};

constexpr std::array kCodes = {Code{"U8", DType::u8},       Code{"I8", DType::i8},   Code{"I16", DType::i16},
                               Code{"I32", DType::i32},     Code{"I64", DType::i64}, Code{"F16", DType::f16},
                               Code{"BF16", DType::bf16},   Code{"F32", DType::f32}, Code{"F64", DType::f64},
                               Code{"BOOL", DType::boolean}};

struct Entry {
  std::optional<DType> dtype = {};
  std::optional<std::vector<uint64_t>> shape = {};
  std::optional<std::vector<uint64_t>> offsets = {};
};

/// Takes the header as it is parsed, without building a document: nothing nests deeper than the format does, no key stands twice.
class Handler final : public nlohmann::json_sax<json> {
 public:
  Handler(const InputFile& file, std::string_view text) : file_(file), text_(text) {}

  std::map<std::string, Entry> entries;
  std::map<std::string, std::string> metadata;

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t& text) override { unexpected("the number " + text); }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (numbers_ == nullptr) unexpected("a number");
    constexpr size_t kMaxDims = 32;
    if (numbers_->size() == kMaxDims) fail("got more than " + std::to_string(kMaxDims) + " numbers for '" + field_ + "'");
    numbers_->push_back(value);
    return true;
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      if (!metadata.emplace(field_, value).second) fail("the key '" + field_ + "' stands twice in the metadata");
      return true;
    }
    if (depth_ != 2 || field_ != "dtype") unexpected("a string");
    const auto code = std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& c) { return c.text == value; });
    if (code == kCodes.end()) {
      fail("got the element type '" + value.substr(0, 40) + "', expected U8, I8, I16, I32, I64, F16, BF16, F32, F64 or BOOL");
    }
    set(entry_->dtype, code->dtype);
    return true;
  }

  bool start_object(size_t) override {
    if (++depth_ > 2) unexpected("an object");
    return true;
  }

  bool key(string_t& value) override {
    if (depth_ == 2) {
      field_ = value;
      if (!in_metadata_ && field_ != "dtype" && field_ != "shape" && field_ != "data_offsets") {
        fail("unknown key '" + field_.substr(0, 40) + "', expected dtype, shape, data_offsets");
      }
      return true;
    }
    name_ = value;
    in_metadata_ = name_ == "__metadata__";
    if (in_metadata_ && std::exchange(seen_metadata_, true)) fail("the metadata stands twice");
    if (in_metadata_) return true;
    const auto [place, fresh] = entries.try_emplace(name_);
    if (!fresh) fail("the name stands twice");
    entry_ = &place->second;
    return true;
  }

  bool end_object() override {
    --depth_;
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || numbers_ != nullptr) unexpected("an array");
    if (field_ == "shape") numbers_ = set(entry_->shape, {});
    if (field_ == "data_offsets") numbers_ = set(entry_->offsets, {});
    if (numbers_ == nullptr) unexpected("an array");
    return true;
  }

  bool end_array() override {
    numbers_ = nullptr;
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    file_.fail(kStart + (position > 0 ? position - 1 : 0), std::string("the header is not valid JSON here") + kRemedy);
  }

  /// Speaks of the place where the tensor's name stands.
  [[noreturn]] void fail_at(const std::string& name, const std::string& problem) const {
    std::string quoted = "\"" + name + "\"";
    const size_t place = text_.find(quoted);
    file_.fail(kStart + (place == std::string_view::npos ? 0 : place),
               "tensor '" + name.substr(0, 200) + "': " + problem + kRemedy);
  }

 private:
  [[noreturn]] void fail(const std::string& problem) const { fail_at(name_, problem); }
  [[noreturn]] void unexpected(const std::string& what) const {
    const std::string where = depth_ == 2 ? " for '" + field_.substr(0, 40) + "'" : "";
    fail("got " + what + where + ", which has no place in a safetensors header");
  }

  template <class T>
  T* set(std::optional<T>& field, T value) {
    if (field) fail("the key '" + field_ + "' stands twice");
    return &field.emplace(std::move(value));
  }

  const InputFile& file_;
  std::string_view text_;
  int depth_ = 0;
  bool in_metadata_ = false;
  bool seen_metadata_ = false;
  std::string name_;
  std::string field_;
  Entry* entry_ = nullptr;
  std::vector<uint64_t>* numbers_ = nullptr;
};

std::string read_header_text(const InputFile& file) {
  constexpr uint64_t kMaxHeader = 100'000'000;  // the reference implementation's bound
  std::array<unsigned char, kStart> length_bytes = {};
  if (file.size() < kStart)
    file.fail(file.size(), "the file ends here, expected at least 8 bytes of header length" + std::string(kRemedy));
  file.read_exactly(0, std::as_writable_bytes(std::span(length_bytes)));
  uint64_t length = 0;
  for (size_t i = 0; i < kStart; ++i) length |= uint64_t{length_bytes[i]} << 8 * i;
  const uint64_t most = std::min(kMaxHeader, file.size() - kStart);
  if (length > most) {
    file.fail(0, "got a header of " + std::to_string(length) + " bytes, expected at most " + std::to_string(most) + kRemedy);
  }
  std::string text(length, '\0');
  file.read_exactly(kStart, std::as_writable_bytes(std::span(text)));
  if (!text.starts_with('{')) file.fail(kStart, std::string("the header doesn't start with '{'") + kRemedy);
  // The JSON parser takes a zero byte for the end and would not look at what follows.
  if (const size_t zero = text.find('\0'); zero != std::string::npos) {
    file.fail(kStart + zero, std::string("a zero byte in the header") + kRemedy);
  }
  return text;
}

TensorInfo check(const Handler& handler, const std::string& name, const Entry& entry, uint64_t data_start) {
  if (!entry.dtype || !entry.shape || !entry.offsets) handler.fail_at(name, "lacks one of dtype, shape, data_offsets");
  TensorInfo info = {.dtype = *entry.dtype};
  for (const uint64_t extent : *entry.shape) {
    if (extent > INT64_MAX) handler.fail_at(name, "got the extent " + std::to_string(extent));
    info.shape.push_back(static_cast<int64_t>(extent));
  }
  const auto& offsets = *entry.offsets;
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    handler.fail_at(name, "data_offsets must be a begin and an end not before it");
  info.num_bytes = offsets[1] - offsets[0];
  const auto expected = bytes_of(info.dtype, info.shape);
  if (!expected || *expected != info.num_bytes) {
    handler.fail_at(name, "data_offsets span " + std::to_string(info.num_bytes) + " bytes, but its shape is " +
                              describe_array(info.dtype, info.shape));
  }
  if (__builtin_add_overflow(data_start, offsets[0], &info.offset)) handler.fail_at(name, "data_offsets overflow");
  return info;
}

}  // namespace

std::string_view safetensors_name(DType type) {
  return std::find_if(kCodes.begin(), kCodes.end(), [&](const Code& code) { return code.dtype == type; })->text;
}

SafetensorsHeader read_safetensors_header(const InputFile& file) {
  const auto text = read_header_text(file);
  Handler handler(file, text);
  json::sax_parse(text, &handler);
  const uint64_t data_start = kStart + text.size();
  SafetensorsHeader header = {.metadata = std::move(handler.metadata)};
  for (const auto& [name, entry] : handler.entries) {
    header.tensors.emplace(name, check(handler, name, entry, data_start));
    header.names.push_back(name);
  }
  std::sort(header.names.begin(), header.names.end(), [&](const std::string& a, const std::string& b) {
    const TensorInfo& first = header.tensors.at(a);
    const TensorInfo& second = header.tensors.at(b);
    return std::pair(first.offset, first.num_bytes) < std::pair(second.offset, second.num_bytes);
  });
  uint64_t end = data_start;
  for (const auto& name : header.names) {
    const TensorInfo& info = header.tensors.at(name);
    if (info.offset != end) {
      handler.fail_at(name, "its data starts at byte " + std::to_string(info.offset) + ", expected " + std::to_string(end) +
                                ", where the tensor before it ends");
    }
    if (info.num_bytes > file.size() - end) {
      handler.fail_at(name, "its data ends at byte " + std::to_string(end + info.num_bytes) + ", but the file has " +
                                std::to_string(file.size()) + " bytes");
    }
    end += info.num_bytes;
  }
  if (end != file.size())
    file.fail(end, "the last tensor ends here, but the file has " + std::to_string(file.size()) + " bytes" + kRemedy);
  return header;
}

}  // namespace elbo::detail
