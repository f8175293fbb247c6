#include "memory.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <limits>

#include "elbo/base/error.h"

namespace elbo::detail {
namespace {

constexpr int64_t kUnknown = std::numeric_limits<int64_t>::max();

/// "max" and files that aren't there are unknown.
int64_t number_in(const char* path) {
  std::ifstream in(path);
  int64_t number = 0;
  return in >> number ? number : kUnknown;
}

int64_t left_of(int64_t limit, int64_t used) {
  return limit == kUnknown || used == kUnknown ? kUnknown : std::max<int64_t>(0, limit - used);
}

}  // namespace

int64_t available_host_bytes() {
  int64_t available = kUnknown;
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;) {
    int64_t kib = 0;
    if (word == "MemAvailable:" && in >> kib) available = kib * 1024;
  }
  available = std::min(available, left_of(number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory.current")));
  return std::min(available, left_of(number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
                                     number_in("/sys/fs/cgroup/memory/memory.usage_in_bytes")));
}

std::string bytes_text(int64_t bytes) {
  char out[32];
  std::snprintf(out, sizeof out, "%.1f GB", std::ceil(static_cast<double>(bytes) / 1e8) / 10);
  return out;
}

void check_host_memory(const std::string& where, int64_t needed, int64_t available) {
  if (needed <= available) return;
  throw DataError(
      where + ": needs " + bytes_text(needed) + " of memory while it is read, but only " + bytes_text(available) +
      " are free; use fewer rows, smaller ones or bytes instead of floating point, or a folder of images (data type " +
      "image_folder), which is never in memory whole");
}

}  // namespace elbo::detail
