#include <zlib.h>

#include <set>

#include "elbo/base/error.h"
#include "elbo/io/npy.h"
#include "npy_format.h"

// Written by hand, since libzip gathers in a temporary file of its own, which can't be synced before the rename.
// Source: PKWARE APPNOTE 6.3.9. Every entry is stored and in the 64-bit form, so that small and large arrays take the same path.
namespace elbo {
namespace {

void check_name(const std::string& name) {
  const bool climbs = name.starts_with("/") || ("/" + name + "/").find("/../") != std::string::npos;
  bool plain = !name.empty();
  for (const char c : name) plain = plain && static_cast<unsigned char>(c) >= ' ' && c != '\\';
  if (climbs || !plain || name.size() > 1000)
    throw UsageError("'" + name + "' is no name for an array of an NPZ file; use letters, digits, '_', '.'");
}

void put(std::string& out, uint64_t value, int num_bytes) {
  for (int i = 0; i < num_bytes; ++i) out += static_cast<char>(value >> 8 * i);
}

struct Entry {
  std::string name;
  uint32_t crc;
  uint64_t size;
  uint64_t offset;
};

enum class Place { local, directory };

std::string entry_header(const Entry& entry, Place place) {
  constexpr uint32_t kIn64BitField = 0xffffffff;
  constexpr uint64_t kZip64Version = 45;
  constexpr uint64_t kNameIsUtf8 = 1 << 11;
  constexpr uint64_t kFirstOf1980 = 1 << 5 | 1;  // zip has no earlier date
  const bool local = place == Place::local;
  std::string out = local ? "PK\x03\x04" : "PK\x01\x02";
  if (!local) put(out, kZip64Version | 3 << 8, 2);  // made by: unix
  put(out, kZip64Version, 2);
  put(out, kNameIsUtf8, 2);
  put(out, 0, 2);  // stored
  put(out, 0, 2);  // midnight
  put(out, kFirstOf1980, 2);
  put(out, entry.crc, 4);
  put(out, kIn64BitField, 4);
  put(out, kIn64BitField, 4);
  put(out, entry.name.size(), 2);
  put(out, local ? 20 : 28, 2);
  if (!local) {
    put(out, 0, 2);              // comment
    put(out, 0, 2);              // disk
    put(out, 0, 2);              // internal attributes
    put(out, 0600ull << 16, 4);  // as Python's zipfile has it
    put(out, kIn64BitField, 4);
  }
  out += entry.name;
  put(out, 1, 2);  // the 64-bit field
  put(out, local ? 16 : 24, 2);
  put(out, entry.size, 8);
  put(out, entry.size, 8);
  if (!local) put(out, entry.offset, 8);
  return out;
}

std::string archive_end(uint64_t count, uint64_t offset, uint64_t size) {
  std::string out = "PK\x06\x06";
  put(out, 44, 8);
  put(out, 45 | 3 << 8, 2);
  put(out, 45, 2);
  put(out, 0, 4);
  put(out, 0, 4);
  put(out, count, 8);
  put(out, count, 8);
  put(out, size, 8);
  put(out, offset, 8);
  out += "PK\x06\x07";
  put(out, 0, 4);
  put(out, offset + size, 8);
  put(out, 1, 4);
  out += "PK\x05\x06";
  put(out, 0, 4);
  put(out, 0xffff, 2);
  put(out, 0xffff, 2);
  put(out, 0xffffffff, 4);
  put(out, 0xffffffff, 4);
  put(out, 0, 2);
  return out;
}

uint32_t crc32_of(uint32_t crc, std::span<const std::byte> bytes) {
  if (bytes.empty()) return crc;  // for a null pointer zlib starts afresh
  return static_cast<uint32_t>(crc32_z(crc, reinterpret_cast<const Bytef*>(bytes.data()), bytes.size()));
}

}  // namespace

void write_npz(const std::filesystem::path& path, const std::vector<std::pair<std::string, ArrayView>>& arrays) {
  std::set<std::string> names;
  std::vector<std::string> headers;
  for (const auto& [name, view] : arrays) {
    check_name(name);
    if (!names.insert(name).second) throw UsageError("two arrays are named '" + name + "'; rename one");
    headers.push_back(detail::npy_header(view, name));
  }
  AtomicFile file(path);
  std::string directory;
  uint64_t offset = 0;
  for (size_t i = 0; i < arrays.size(); ++i) {
    const auto& [name, view] = arrays[i];
    const uint32_t crc = crc32_of(crc32_of(0, detail::as_bytes(headers[i])), view.bytes);
    const Entry entry = {name + ".npy", crc, headers[i].size() + view.bytes.size(), offset};
    const auto local = entry_header(entry, Place::local);
    file.write(local);
    file.write(headers[i]);
    file.write(view.bytes);
    directory += entry_header(entry, Place::directory);
    offset += local.size() + entry.size;
  }
  file.write(directory);
  file.write(archive_end(arrays.size(), offset, directory.size()));
  file.commit();
}

}  // namespace elbo
