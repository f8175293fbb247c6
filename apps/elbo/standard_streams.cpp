#include "standard_streams.h"

#include <stdlib.h>
#include <unistd.h>

#include <iostream>
#include <string>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

TemporaryFile::TemporaryFile(std::string_view ending) {
  std::error_code error;
  const auto folder = std::filesystem::temp_directory_path(error);
  if (error) throw UsageError("there is no folder for temporary files; set TMPDIR to one with room");
  auto name = (folder / "elbo-XXXXXX").string() + std::string(ending);
  const int descriptor = ::mkstemps(name.data(), static_cast<int>(ending.size()));
  if (descriptor < 0) throw UsageError("can't make a temporary file " + in_quotes(name) + "; set TMPDIR to a folder with room");
  ::close(descriptor);
  path_ = name;
}

TemporaryFile::~TemporaryFile() {
  std::error_code ignored;
  std::filesystem::remove(path_, ignored);
}

std::vector<uint8_t> read_standard_input() {
  constexpr size_t kPiece = 1 << 20, kMost = size_t{1} << 36;
  std::vector<uint8_t> bytes;
  for (size_t got = kPiece; got == kPiece;) {
    const auto before = bytes.size();
    if (before > kMost) throw DataError("standard input: more than 64 GiB; name a file instead");
    bytes.resize(before + kPiece);
    std::cin.read(reinterpret_cast<char*>(bytes.data() + before), kPiece);
    got = static_cast<size_t>(std::cin.gcount());
    bytes.resize(before + got);
  }
  return bytes;
}

void write_standard_output(std::span<const std::byte> bytes) {
  std::cout.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
  std::cout.flush();
}

}  // namespace elbo
