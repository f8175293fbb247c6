#pragma once
#include <memory>
#include <vector>

#include "elbo/experiment/codec.h"
#include "elbo/io/rans.h"

namespace elbo::detail {

struct StreamBits {
  double model = 0;    // under the prior as real numbers
  double integer = 0;  // under the integer frequencies

  StreamBits& operator+=(const StreamBits& other) {
    model += other.model;
    integer += other.integer;
    return *this;
  }
};

/// Puts a stream's codes into the coder and takes them out again: position by position, at each the images in turn.
class StreamCoder {
 public:
  explicit StreamCoder(std::vector<CodeAlphabet> alphabets) : alphabets_(std::move(alphabets)) {}
  virtual ~StreamCoder() = default;

  std::vector<uint8_t> encode(const std::vector<Tensor>& codes, StreamBits& bits) const;
  std::vector<Tensor> decode(std::span<const uint8_t> bytes, int64_t num_images, const std::string& origin) const;
  /// Throws: DataError where no coder can have put the codes of so many images into so few bytes, before anything is decoded.
  void check_room(size_t num_bytes, int64_t num_images, const std::string& origin) const;

 protected:
  /// Of the largest table.
  virtual int max_bits() const = 0;
  /// Shapes: codes of this level and of those above it, each int64 [n, h, w, G].
  virtual StreamBits push(RansEncoder& encoder, size_t level, const std::vector<Tensor>& codes) const = 0;
  virtual Tensor pop(RansDecoder& decoder, size_t level, int64_t n, const std::vector<Tensor>& above) const = 0;
  const CodeAlphabet& alphabet(size_t level) const { return alphabets_.at(level); }
  size_t num_levels() const { return alphabets_.size(); }

 private:
  std::vector<CodeAlphabet> alphabets_;
};

/// Occurrences of each code: a list for each group of each level. Integers without a bound share one list a level: of the zigzag
/// numbers below kEscape, and in the last place of all the others.
using CodeCounts = std::vector<std::vector<uint64_t>>;
inline constexpr int64_t kEscape = 255;
/// Throws: UsageError for a code outside of its alphabet.
CodeCounts count_codes(const std::vector<CodeAlphabet>& alphabets, const std::vector<Tensor>& codes);
std::vector<uint8_t> pack_code_counts(const CodeCounts& counts);
/// Throws: DataError with the origin.
CodeCounts unpack_code_counts(const std::vector<CodeAlphabet>& alphabets, std::span<const uint8_t> bytes,
                              const std::string& origin);

std::unique_ptr<StreamCoder> make_uniform_coder(const std::vector<CodeAlphabet>& alphabets);
std::unique_ptr<StreamCoder> make_empirical_coder(const std::vector<CodeAlphabet>& alphabets, const CodeCounts& counts);
/// The codec must outlive it and have priors.
std::unique_ptr<StreamCoder> make_autoregressive_coder(const Codec& codec);

/// Shapes: int64 [n, h, w, G] -> [T, n], contiguous: the order in which codes are coded.
Tensor position_major(const Tensor& codes);
/// Its inverse.
Tensor image_major(const Tensor& positions, const CodeGrid& grid);

}  // namespace elbo::detail
