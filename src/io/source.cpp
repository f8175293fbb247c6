#include "source.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <utility>

namespace elbo::detail {
namespace {

/// A gzip file may be several members one after the other.
class GzipSource final : public ByteSource {
 public:
  explicit GzipSource(InputFile file) : file_(std::move(file)) {
    constexpr int kGzipOnly = 15 + 16;
    if (inflateInit2(&stream_, kGzipOnly) != Z_OK) file_.fail(0, "no memory for decompression; close other programs");
  }
  ~GzipSource() override { inflateEnd(&stream_); }
  GzipSource(const GzipSource&) = delete;
  GzipSource& operator=(const GzipSource&) = delete;

  bool limit_is_exact() const override { return false; }
  std::string name() const override { return file_.path().string(); }

 protected:
  uint64_t size_limit() const override { return file_.size() * kMaxDeflateRatio; }

  size_t read_some(std::span<std::byte> out) override {
    constexpr size_t kMostAtOnce = size_t{1} << 30;  // zlib counts in 32 bits
    const size_t wanted = std::min(out.size(), kMostAtOnce);
    stream_.next_out = reinterpret_cast<Bytef*>(out.data());
    stream_.avail_out = static_cast<uInt>(wanted);
    while (stream_.avail_out > 0 && !ended_) {
      if (stream_.avail_in == 0) refill(position() + wanted - stream_.avail_out);
      const int code = inflate(&stream_, Z_NO_FLUSH);
      if (code == Z_STREAM_END) {
        next_member();
      } else if (code != Z_OK) {
        const std::string reason = stream_.msg != nullptr ? stream_.msg : "unexpected end";
        fail(position() + wanted - stream_.avail_out, "the gzip data is damaged (" + reason + "); download the file again");
      }
    }
    return wanted - stream_.avail_out;
  }

 private:
  void refill(uint64_t at) {
    const size_t count = file_.read_at(file_offset_, input_);
    if (count == 0) {
      fail(at,
           "the gzip data ends too early, after " + std::to_string(file_.size()) + " compressed bytes; download the file again");
    }
    file_offset_ += count;
    stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
    stream_.avail_in = static_cast<uInt>(count);
  }

  void next_member() {
    const uint64_t consumed = file_offset_ - stream_.avail_in;
    ended_ = consumed == file_.size();
    if (!ended_) inflateReset(&stream_);
  }

  InputFile file_;
  z_stream stream_ = {};
  std::array<std::byte, 1 << 16> input_ = {};
  uint64_t file_offset_ = 0;
  bool ended_ = false;
};

class FileSource final : public ByteSource {
 public:
  explicit FileSource(InputFile file) : file_(std::move(file)) {}
  bool limit_is_exact() const override { return true; }
  std::string name() const override { return file_.path().string(); }

 protected:
  uint64_t size_limit() const override { return file_.size(); }
  size_t read_some(std::span<std::byte> out) override { return file_.read_at(position(), out); }

 private:
  InputFile file_;
};

}  // namespace

InputFile::InputFile(std::filesystem::path path, FileRole role) : path_(std::move(path)), role_(role) {
  // O_NONBLOCK: opening a pipe that nobody writes would wait for ever.
  descriptor_ = Descriptor(::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (descriptor_.get() < 0) throw_system_error(role_, "read", path_, errno);
  struct stat status = {};
  if (::fstat(descriptor_.get(), &status) != 0) throw_system_error(role_, "read", path_, errno);
  if (S_ISDIR(status.st_mode)) throw_system_error(role_, "read", path_, EISDIR);
  if (!S_ISREG(status.st_mode))
    throw_error(role_, "cannot read " + path_.string() + ": it is not a regular file; copy it to one");
  size_ = static_cast<uint64_t>(status.st_size);
}

size_t InputFile::read_at(uint64_t offset, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    constexpr size_t kMostAtOnce = size_t{1} << 30;  // Linux reads at most 2 GiB a call
    const size_t wanted = std::min(out.size() - done, kMostAtOnce);
    const ssize_t count = ::pread(descriptor_.get(), out.data() + done, wanted, static_cast<off_t>(offset + done));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw_system_error(role_, "read", path_, errno);
    if (count == 0) break;
    done += static_cast<size_t>(count);
  }
  return done;
}

void InputFile::read_exactly(uint64_t offset, std::span<std::byte> out) const {
  const size_t count = read_at(offset, out);
  if (count < out.size()) {
    fail(offset + count,
         "the file ends here, expected " + std::to_string(out.size() - count) + " bytes more; is something writing to it?");
  }
}

void InputFile::fail(uint64_t offset, const std::string& problem) const {
  throw_error(role_, path_.string() + ": byte " + std::to_string(offset) + ": " + problem);
}

size_t ByteSource::read(std::span<std::byte> out) {
  size_t done = 0;
  while (done < out.size()) {
    const size_t count = read_some(out.subspan(done));
    if (count == 0) break;
    done += count;
    position_ += count;
  }
  return done;
}

void ByteSource::read_exactly(std::span<std::byte> out, const std::string& what) {
  if (read(out) < out.size()) fail(position_, "the file ends inside " + what + "; download it again");
}

void ByteSource::fail(uint64_t offset, const std::string& problem) const {
  throw_error(FileRole::data, name() + ": byte " + std::to_string(offset) + ": " + problem);
}

std::unique_ptr<ByteSource> open_plain(const std::filesystem::path& path) {
  return std::make_unique<FileSource>(InputFile(path, FileRole::data));
}

std::unique_ptr<ByteSource> open_perhaps_gzipped(const std::filesystem::path& path) {
  InputFile file(path, FileRole::data);
  std::array<std::byte, 2> magic = {};
  const bool gzipped = file.read_at(0, magic) == 2 && magic[0] == std::byte{0x1f} && magic[1] == std::byte{0x8b};
  if (gzipped) return std::make_unique<GzipSource>(std::move(file));
  return std::make_unique<FileSource>(std::move(file));
}

}  // namespace elbo::detail
