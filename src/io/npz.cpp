#include <zip.h>
#include <zlib.h>

#include <map>
#include <set>

#include "elbo/base/error.h"
#include "elbo/io/npy.h"
#include "npy_format.h"

namespace elbo {
namespace {

struct CloseArchive {
  void operator()(zip_t* archive) const { zip_discard(archive); }
};
struct CloseEntry {
  void operator()(zip_file_t* entry) const { zip_fclose(entry); }
};

constexpr std::string_view kSuffix = ".npy";

}  // namespace

struct NpzReader::State {
  std::filesystem::path path;
  std::unique_ptr<zip_t, CloseArchive> archive;
  std::vector<std::string> names;
  std::map<std::string, zip_uint64_t> index;

  [[noreturn]] void fail(const std::string& problem) const { throw DataError(path.string() + ": byte 0: " + problem); }
  zip_uint64_t find(const std::string& name) const;
};

namespace {

/// One entry of the archive, decompressed.
class ZipSource final : public detail::ByteSource {
 public:
  ZipSource(zip_t* archive, zip_uint64_t index, std::string name) : name_(std::move(name)) {
    zip_stat_t stat = {};
    if (zip_stat_index(archive, index, 0, &stat) != 0) fail(0, "the archive's directory is damaged; get the file again");
    if (stat.encryption_method != ZIP_EM_NONE) fail(0, "the entry is encrypted; write the archive without a password");
    if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE) {
      fail(0, "compressed by method " + std::to_string(stat.comp_method) +
                  ", expected stored or deflated; rewrite it with numpy.savez");
    }
    const uint64_t ratio = stat.comp_method == ZIP_CM_STORE ? 1 : detail::kMaxDeflateRatio;
    uint64_t most = 0;
    if (__builtin_mul_overflow(stat.comp_size, ratio, &most)) most = detail::kMaxArrayBytes;
    if (stat.size > most) {
      fail(0, "the archive says that " + std::to_string(stat.comp_size) + " bytes decompress to " + std::to_string(stat.size) +
                  ", which can't be; get the file again");
    }
    size_ = stat.size;
    entry_.reset(zip_fopen_index(archive, index, 0));
    if (!entry_) fail(0, std::string("the entry can't be opened (") + zip_strerror(archive) + "); get the file again");
  }

  bool limit_is_exact() const override { return false; }  // the directory's word
  std::string name() const override { return name_; }

 protected:
  uint64_t size_limit() const override { return size_; }

  size_t read_some(std::span<std::byte> out) override {
    const zip_int64_t count = zip_fread(entry_.get(), out.data(), out.size());
    if (count < 0)
      fail(position(), std::string("the entry is damaged (") + zip_file_strerror(entry_.get()) + "); get the file again");
    return static_cast<size_t>(count);
  }

 private:
  std::string name_;
  std::unique_ptr<zip_file_t, CloseEntry> entry_;
  uint64_t size_ = 0;
};

}  // namespace

NpzReader::NpzReader(std::filesystem::path path) : state_(std::make_unique<State>()) {
  state_->path = std::move(path);
  const detail::InputFile file(state_->path, FileRole::data);  // says plainly what is wrong with a missing file or a folder
  int code = 0;
  state_->archive.reset(zip_open(state_->path.c_str(), ZIP_RDONLY, &code));
  if (!state_->archive) {
    zip_error_t error = {};
    zip_error_init_with_code(&error, code);
    const std::string reason = zip_error_strerror(&error);
    zip_error_fini(&error);
    state_->fail("not an NPZ archive (" + reason + "); check that this is the right file or get it again");
  }
  const zip_int64_t count = zip_get_num_entries(state_->archive.get(), 0);
  for (zip_uint64_t i = 0; i < static_cast<zip_uint64_t>(count); ++i) {
    const char* raw = zip_get_name(state_->archive.get(), i, 0);
    if (raw == nullptr) state_->fail("the archive's directory is damaged; get the file again");
    std::string name = raw;
    if (!name.ends_with(kSuffix)) continue;  // numpy, too, treats other entries as no arrays
    name.resize(name.size() - kSuffix.size());
    if (!state_->index.emplace(name, i).second) state_->fail("two entries are named '" + name + "'; rewrite it with numpy.savez");
    state_->names.push_back(name);
  }
}

NpzReader::~NpzReader() = default;
NpzReader::NpzReader(NpzReader&&) noexcept = default;
NpzReader& NpzReader::operator=(NpzReader&&) noexcept = default;

zip_uint64_t NpzReader::State::find(const std::string& name) const {
  const auto found = index.find(name);
  if (found != index.end()) return found->second;
  std::string all;
  for (const auto& other : names) all += (all.empty() ? "" : ", ") + other;
  throw DataError(path.string() + ": byte 0: no array named '" + name + "'; it has: " + (all.empty() ? "none" : all));
}

const std::vector<std::string>& NpzReader::names() const { return state_->names; }
bool NpzReader::contains(const std::string& name) const { return state_->index.contains(name); }

NpyHeader NpzReader::header(const std::string& name) const {
  ZipSource source(state_->archive.get(), state_->find(name), state_->path.string() + ": " + name + ".npy");
  auto header = detail::parse_npy(source);
  detail::check_announced(source, header.dtype, header.shape, 10);
  return header;
}

Array NpzReader::read(const std::string& name) const {
  ZipSource source(state_->archive.get(), state_->find(name), state_->path.string() + ": " + name + ".npy");
  return detail::read_npy_elements(source, detail::parse_npy(source));
}

}  // namespace elbo
