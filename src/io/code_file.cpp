#include "elbo/io/code_file.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/crc32c.h"
#include "elbo/io/file.h"

namespace elbo {
namespace {

/// As PNG's: a byte above 127, line ends of both kinds and an end of file show what a transfer as text did to the file.
constexpr std::array<uint8_t, 8> kCodeMagic = {0x89, 'e', 'l', 'b', 'o', '\r', '\n', 0x1a};
constexpr uint8_t kCodeVersion = 1;
constexpr size_t kCodeHashBytes = 32;
constexpr size_t kChecksumBytes = 4;
constexpr size_t kMaxCodeFileBytes = size_t{1} << 36;
constexpr int64_t kMaxCodeExtent = 1 << 20;
constexpr int64_t kMaxCodedPixels = 1 << 28;
constexpr int64_t kMaxLevels = 16;
constexpr int64_t kMaxVocabulary = 1 << 21;
constexpr int64_t kMaxImages = 1 << 28;
constexpr size_t kMaxNameBytes = 255;
constexpr const char* kCodeRemedy = "; get the file again or compress anew";

uint32_t code_checksum(std::span<const uint8_t> bytes) { return crc32c(std::as_bytes(bytes)); }

void append_varint(std::vector<uint8_t>& out, uint64_t value) {
  for (; value >= 128; value >>= 7) out.push_back(static_cast<uint8_t>(value | 128));
  out.push_back(static_cast<uint8_t>(value));
}
void append_varint(std::vector<uint8_t>& out, int64_t value) { append_varint(out, static_cast<uint64_t>(value)); }

template <class Bytes>
void append_sized(std::vector<uint8_t>& out, const Bytes& bytes) {
  append_varint(out, uint64_t{bytes.size()});
  out.insert(out.end(), bytes.begin(), bytes.end());
}

std::vector<uint8_t> bytes_of_hash(const std::string& hex, const std::string& whose) {
  const auto digit = [](char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; };
  if (hex.size() != 2 * kCodeHashBytes || std::any_of(hex.begin(), hex.end(), [&](char c) { return digit(c) < 0; })) {
    throw UsageError("code file: the hash of " + whose + " is " + in_quotes(hex) + ", expected 64 lower-case hexadecimal digits");
  }
  std::vector<uint8_t> bytes;
  for (size_t i = 0; i < hex.size(); i += 2) bytes.push_back(static_cast<uint8_t>(digit(hex[i]) * 16 + digit(hex[i + 1])));
  return bytes;
}

std::string hex_of(std::span<const uint8_t> bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string hex;
  for (const uint8_t byte : bytes) hex += {kDigits[byte >> 4], kDigits[byte & 15]};
  return hex;
}

std::string in_bytes(uint64_t count) { return text(count, count == 1 ? " byte" : " bytes"); }

class CodeCursor {
 public:
  CodeCursor(std::span<const uint8_t> bytes, const std::string& origin) : bytes_(bytes), origin_(origin) {}

  size_t position() const { return at_; }
  size_t remaining() const { return bytes_.size() - at_; }
  /// Forgets what lies behind.
  void cut(size_t num_remaining) { bytes_ = bytes_.first(at_ + num_remaining); }
  [[noreturn]] void fail(size_t at, const std::string& problem) const {
    throw DataError(text(origin_, ": byte ", at, ": ", problem, kCodeRemedy));
  }

  std::span<const uint8_t> take(size_t count, const std::string& what) {
    if (count > remaining()) fail(bytes_.size(), "the file ends inside " + what);
    at_ += count;
    return bytes_.subspan(at_ - count, count);
  }

  uint64_t varint(const std::string& what) {
    const size_t start = at_;
    uint64_t value = 0;
    for (int shift = 0; shift < 63; shift += 7) {
      const uint8_t byte = take(1, what)[0];
      value |= uint64_t{byte & 127U} << shift;
      if (byte < 128) {
        if (byte == 0 && shift > 0) fail(start, what + " is not in its shortest form");
        return value;
      }
    }
    fail(start, what + " has more than 63 bits");
  }

  int64_t number(const std::string& what, int64_t least, int64_t most) {
    const size_t start = at_;
    const auto value = static_cast<int64_t>(varint(what));
    if (value < least || value > most) fail(start, text(what, " is ", value, ", expected ", least, " to ", most));
    return value;
  }

  std::span<const uint8_t> sized(const std::string& what) {
    const size_t start = at_;
    const uint64_t count = varint("the length of " + what);
    if (count > remaining()) fail(start, text(what, " has ", in_bytes(count), ", but ", remaining(), " are left"));
    return take(count, what);
  }

 private:
  std::span<const uint8_t> bytes_;
  const std::string& origin_;
  size_t at_ = 0;
};

/// Magic, version, length and checksum; leaves the cursor before the first field, the checksum cut off.
void check_frame(CodeCursor& cursor, std::span<const uint8_t> bytes, const std::string& origin) {
  const size_t common = std::min(bytes.size(), kCodeMagic.size());
  if (bytes.empty() || !std::equal(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(common), kCodeMagic.begin())) {
    cursor.fail(0, bytes.empty() ? "the file is empty, expected compressed codes" : "not a file of elbo compress");
  }
  cursor.take(kCodeMagic.size(), "its first bytes");
  const uint8_t version = cursor.take(1, "its version")[0];
  if (version != kCodeVersion) {
    throw DataError(text(origin, ": byte ", kCodeMagic.size(), ": format version ", int{version}, ", this program reads ",
                         int{kCodeVersion}, "; use the elbo that wrote it"));
  }
  const uint64_t length = cursor.varint("its length");
  if (length > cursor.remaining()) {
    cursor.fail(bytes.size(), text("the file ends here, ", in_bytes(length - cursor.remaining()), " too early"));
  }
  if (length < cursor.remaining()) {
    cursor.fail(cursor.position() + length,
                text("the file should end here, but has ", in_bytes(cursor.remaining() - length), " more"));
  }
  if (length < kChecksumBytes) cursor.fail(cursor.position(), "the file has no room for its checksum");
  const size_t end = bytes.size() - kChecksumBytes;
  uint32_t stored = 0;
  for (size_t i = 0; i < kChecksumBytes; ++i) stored |= uint32_t{bytes[end + i]} << 8 * i;
  if (stored != code_checksum(bytes.first(end))) cursor.fail(end, "the checksum differs: the file is damaged");
  cursor.cut(length - kChecksumBytes);
}

void read_shapes(CodeCursor& cursor, CodeHeader& header) {
  const size_t image_at = cursor.position();
  header.channels = cursor.number("the number of channels", 1, kMaxCodeExtent);
  header.height = cursor.number("the image's height", 1, kMaxCodeExtent);
  header.width = cursor.number("the image's width", 1, kMaxCodeExtent);
  if (header.height * header.width > kMaxCodedPixels / header.channels) {
    cursor.fail(image_at, text("an image has more than ", kMaxCodedPixels, " values"));
  }
  const int64_t num_levels = cursor.number("the number of levels", 1, kMaxLevels);
  int64_t codes = 0;
  for (int64_t i = 0; i < num_levels; ++i) {
    const size_t level_at = cursor.position();
    CodeGrid level = {.height = cursor.number("a level's height", 1, kMaxCodeExtent),
                      .width = cursor.number("a level's width", 1, kMaxCodeExtent),
                      .groups = cursor.number("a level's number of groups", 1, kMaxCodeExtent),
                      .vocabulary = cursor.number("a level's vocabulary", 0, kMaxVocabulary)};
    const int64_t room = (kMaxCodesPerStream - codes) / level.groups;
    if (level.height * level.width > room) cursor.fail(level_at, text("an image has more than ", kMaxCodesPerStream, " codes"));
    codes += level.height * level.width * level.groups;
    header.levels.push_back(level);
  }
  header.num_images = cursor.number("the number of images", 0, kMaxImages);
  const size_t block_at = cursor.position();
  header.images_per_stream = cursor.number("the number of images in a stream", 1, kMaxImages);
  if (std::min(header.num_images, header.images_per_stream) > most_images_in_stream(header.prior, codes)) {
    const bool is_trained = header.prior == CodingPrior::autoregressive;
    cursor.fail(block_at, text("a stream of ", header.images_per_stream, " images has more than ",
                               is_trained ? kMaxCodesUnderPrior : kMaxCodesPerStream, " codes; take fewer images for each"));
  }
}

void read_names(CodeCursor& cursor, CodeHeader& header) {
  const size_t names_at = cursor.position();
  const int64_t count = cursor.number("the number of names", 0, kMaxImages);
  if (count != 0 && count != header.num_images) {
    cursor.fail(names_at, text(count, " names for ", header.num_images, " images, expected as many or none"));
  }
  for (int64_t i = 0; i < count; ++i) {
    const size_t name_at = cursor.position();
    const auto bytes = cursor.sized("a name");
    std::string name(bytes.begin(), bytes.end());
    if (const auto problem = code_name_problem(name); !problem.empty()) {
      cursor.fail(name_at, "the name " + in_quotes(name) + " " + problem);
    }
    header.names.push_back(std::move(name));
  }
  std::vector<std::string_view> sorted(header.names.begin(), header.names.end());
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) cursor.fail(names_at, "the name " + in_quotes(*twice) + " stands twice");
}

}  // namespace

int64_t most_images_in_stream(CodingPrior prior, int64_t codes_per_image) {
  const bool is_trained = prior == CodingPrior::autoregressive;
  const auto most = (is_trained ? kMaxCodesUnderPrior : kMaxCodesPerStream) / codes_per_image;
  return is_trained ? std::max<int64_t>(most, 1) : most;
}

std::string code_name_problem(std::string_view name) {
  if (name.empty() || name == "." || name == ".." || name.find_first_of("/\\") != std::string_view::npos) return "names no file";
  if (name.size() > kMaxNameBytes) return text("has ", name.size(), " bytes, expected at most ", kMaxNameBytes);
  if (find_invalid_utf8(name)) return "isn't UTF-8";
  const auto control = [](char c) { return static_cast<uint8_t>(c) < 32 || c == 127; };
  return std::any_of(name.begin(), name.end(), control) ? "holds a control character" : "";
}

CodeFile::CodeFile(std::vector<uint8_t> bytes, std::string origin) : bytes_(std::move(bytes)), origin_(std::move(origin)) {
  CodeCursor cursor(bytes_, origin_);
  check_frame(cursor, bytes_, origin_);
  model_hash_at_ = cursor.position();
  header_.model_hash = hex_of(cursor.take(kCodeHashBytes, "the model's hash"));
  header_.prior =
      static_cast<CodingPrior>(cursor.number("the kind of prior", 0, static_cast<int64_t>(CodingPrior::autoregressive)));
  prior_hash_at_ = cursor.position();
  const auto prior_hash = cursor.sized("the prior's hash");
  if (!prior_hash.empty() && prior_hash.size() != kCodeHashBytes) {
    cursor.fail(prior_hash_at_, text("the prior's hash has ", prior_hash.size(), " bytes, expected 0 or ", kCodeHashBytes));
  }
  header_.prior_hash = hex_of(prior_hash);
  read_shapes(cursor, header_);
  read_names(cursor, header_);
  const auto prior_data = cursor.sized("the prior's data");
  header_.prior_data.assign(prior_data.begin(), prior_data.end());

  const auto num_streams = static_cast<size_t>(header_.num_streams());
  const size_t lengths_at = cursor.position();
  if (num_streams > cursor.remaining()) {  // each length takes a byte at least
    cursor.fail(lengths_at, text("the lengths of ", num_streams, " streams don't fit into ", cursor.remaining(), " bytes"));
  }
  std::vector<uint64_t> lengths(num_streams);
  for (auto& length : lengths) length = cursor.varint("the length of a stream");
  starts_.push_back(cursor.position());
  for (const uint64_t length : lengths) {
    cursor.take(length, "a stream");
    starts_.push_back(cursor.position());
  }
  if (cursor.remaining() > 0) {
    cursor.fail(cursor.position(), text(in_bytes(cursor.remaining()), " after the last stream"));
  }
}

CodeFile CodeFile::read(const std::filesystem::path& path) {
  const auto contents = read_bytes(path, kMaxCodeFileBytes, FileRole::data);
  const auto* first = reinterpret_cast<const uint8_t*>(contents.data());
  return CodeFile({first, first + contents.size()}, path.string());
}

std::span<const uint8_t> CodeFile::stream(int64_t index) const {
  if (index < 0 || index >= header_.num_streams()) {
    throw UsageError(text("code file: got stream ", index, ", expected one below ", header_.num_streams()));
  }
  const auto i = static_cast<size_t>(index);
  return std::span(bytes_).subspan(starts_[i], starts_[i + 1] - starts_[i]);
}

int64_t CodeFile::images_in_stream(int64_t index) const {
  return std::min(header_.images_per_stream, header_.num_images - index * header_.images_per_stream);
}

std::string CodeFile::origin_of(int64_t index) const {
  return text(origin_, ": stream ", index, " (from byte ", starts_.at(static_cast<size_t>(index)), ")");
}

void CodeFile::expect_made_by(const std::string& model_hash, const std::string& prior_hash) const {
  const auto expect = [this](size_t at, const std::string& whose, const std::string& got, const std::string& expected) {
    if (got == expected) return;
    const auto shown = [](const std::string& hash) { return hash.substr(0, 16) + "…"; };
    throw DataError(text(origin_, ": byte ", at, ": made with ",
                         got.empty() ? text("no ", whose) : text("the ", whose, " of hash ", shown(got)),
                         expected.empty() ? ", and this run has none" : ", not with this one, " + shown(expected),
                         "; decompress with the run that compressed it"));
  };
  expect(model_hash_at_, "model", header_.model_hash, model_hash);
  expect(prior_hash_at_, "prior", header_.prior_hash, prior_hash);
}

std::vector<uint8_t> pack_code_file(const CodeHeader& header, std::span<const std::vector<uint8_t>> streams) {
  if (header.images_per_stream < 1 || streams.size() != static_cast<size_t>(header.num_streams())) {
    throw UsageError(text("code file: got ", streams.size(), " streams for ", header.num_images, " images, ",
                          header.images_per_stream, " in each"));
  }
  std::vector<uint8_t> fields = bytes_of_hash(header.model_hash, "the model");
  append_varint(fields, static_cast<int64_t>(header.prior));
  append_sized(fields, header.prior_hash.empty() ? std::vector<uint8_t>{} : bytes_of_hash(header.prior_hash, "the prior"));
  for (const int64_t extent : {header.channels, header.height, header.width}) append_varint(fields, extent);
  append_varint(fields, uint64_t{header.levels.size()});
  for (const auto& level : header.levels) {
    for (const int64_t extent : {level.height, level.width, level.groups, level.vocabulary}) append_varint(fields, extent);
  }
  append_varint(fields, header.num_images);
  append_varint(fields, header.images_per_stream);
  append_varint(fields, uint64_t{header.names.size()});
  for (const auto& name : header.names) append_sized(fields, name);
  append_sized(fields, header.prior_data);
  for (const auto& stream : streams) append_varint(fields, uint64_t{stream.size()});

  uint64_t length = fields.size() + kChecksumBytes;
  for (const auto& stream : streams) length += stream.size();
  std::vector<uint8_t> out(kCodeMagic.begin(), kCodeMagic.end());
  out.push_back(kCodeVersion);
  append_varint(out, length);
  out.reserve(out.size() + length);
  out.insert(out.end(), fields.begin(), fields.end());
  for (const auto& stream : streams) out.insert(out.end(), stream.begin(), stream.end());
  const uint32_t checksum = code_checksum(out);
  for (size_t i = 0; i < kChecksumBytes; ++i) out.push_back(static_cast<uint8_t>(checksum >> 8 * i));
  try {
    CodeFile(out, "code file");  // one list of rules for both directions
  } catch (const DataError& error) {
    throw UsageError(error.what());
  }
  return out;
}

void write_code_file(const std::filesystem::path& path, const CodeHeader& header, std::span<const std::vector<uint8_t>> streams) {
  const auto bytes = pack_code_file(header, streams);
  write_atomically(path, std::as_bytes(std::span(bytes)));
}

}  // namespace elbo
