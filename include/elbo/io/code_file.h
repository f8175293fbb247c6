#pragma once
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// What the codes were coded under. Its number stands in files.
enum class CodingPrior : uint8_t {
  uniform = 0,         ///< every code as likely
  empirical = 1,       ///< counts, which prior_data holds
  autoregressive = 2,  ///< a trained prior, which prior_hash names
};

/// The codes of one resolution of one image: height x width tokens of `groups` codes below `vocabulary`.
struct CodeGrid {
  int64_t height = 1;
  int64_t width = 1;
  int64_t groups = 1;
  int64_t vocabulary = 0;  // 0: any integers

  friend bool operator==(const CodeGrid&, const CodeGrid&) = default;
};

/// Everything that a decoder must know before it reads a code.
struct CodeHeader {
  std::string model_hash = {};  // SHA-256 of the weights, 64 hexadecimal digits
  CodingPrior prior = CodingPrior::uniform;
  std::string prior_hash = {};  // likewise, or empty
  int64_t channels = 1;
  int64_t height = 1;
  int64_t width = 1;
  std::vector<CodeGrid> levels = {};  // in coding order
  int64_t num_images = 0;
  int64_t images_per_stream = 1;        // each stream holds so many, the last one the rest
  std::vector<std::string> names = {};  // of the images' files, without folders; or none
  std::vector<uint8_t> prior_data = {};

  int64_t num_streams() const { return (num_images + images_per_stream - 1) / images_per_stream; }
  friend bool operator==(const CodeHeader&, const CodeHeader&) = default;
};

/// No stream holds more codes: what a decoder must allocate at once is bounded.
inline constexpr int64_t kMaxCodesPerStream = int64_t{1} << 24;

/// Under a trained prior a stream of several images holds no more: its decoder keeps what the network has made of each.
inline constexpr int64_t kMaxCodesUnderPrior = int64_t{1} << 18;

/// How many images of so many codes a stream may hold.
int64_t most_images_in_stream(CodingPrior prior, int64_t codes_per_image);

/// Why the format has no room for a file's name: "is empty", …; empty for good names.
std::string code_name_problem(std::string_view name);

/// The bytes of a code file (docs/codec.md has the format). Throws: UsageError for what CodeFile would refuse.
std::vector<uint8_t> pack_code_file(const CodeHeader& header, std::span<const std::vector<uint8_t>> streams);
/// The file appears complete or not at all. Throws: also CheckpointError when it can't be written.
void write_code_file(const std::filesystem::path& path, const CodeHeader& header, std::span<const std::vector<uint8_t>> streams);

/// A code file in memory, checked as a whole: checksum, every field, every length. Names can't leave a folder.
class CodeFile {
 public:
  /// The origin begins all errors: a path, or "standard input".
  /// Throws: DataError with origin and byte. Nothing is allocated beyond a small multiple of the bytes.
  CodeFile(std::vector<uint8_t> bytes, std::string origin);
  static CodeFile read(const std::filesystem::path& path);

  const CodeHeader& header() const { return header_; }
  const std::string& origin() const { return origin_; }
  /// In [0, header().num_streams()).
  std::span<const uint8_t> stream(int64_t index) const;
  int64_t images_in_stream(int64_t index) const;
  /// "PATH: stream 3 (from byte 812)", the origin for a stream's decoder.
  std::string origin_of(int64_t index) const;
  /// Throws: DataError when another model or prior than these made the file.
  void expect_made_by(const std::string& model_hash, const std::string& prior_hash) const;

 private:
  std::vector<uint8_t> bytes_;
  std::string origin_;
  CodeHeader header_ = {};
  size_t model_hash_at_ = 0;
  size_t prior_hash_at_ = 0;
  std::vector<size_t> starts_ = {};  // of the streams, and the last one's end
};

}  // namespace elbo
