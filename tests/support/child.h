#pragma once
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

namespace elbo {

/// The lines that begin with `prefix`, without it, which one test of this very program prints in a process of its own under
/// `environment` ("A=1 B=2"): for what is fixed when a process starts, as the choice of vector instructions.
inline std::vector<std::string> lines_of_child(const std::string& environment, const std::string& test,
                                               const std::string& prefix) {
  std::array<char, 4096> path = {};
  if (readlink("/proc/self/exe", path.data(), path.size() - 1) < 0) return {"no /proc/self/exe"};
  FILE* child = popen((environment + " '" + path.data() + "' --gtest_filter=" + test + " 2>&1").c_str(), "r");
  if (!child) return {"no child"};
  std::vector<std::string> lines;
  std::string line;
  for (int c = std::fgetc(child); c != EOF; c = std::fgetc(child)) {
    if (c != '\n') {
      line += static_cast<char>(c);
      continue;
    }
    if (line.starts_with(prefix)) lines.push_back(line.substr(prefix.size()));
    line.clear();
  }
  pclose(child);
  return lines;
}

/// No vector instructions beyond SSE4.2, and another set than the machine would choose, each with another number of threads.
inline std::vector<std::string> other_instruction_sets() {
  return {"ATEN_CPU_CAPABILITY=default MKL_ENABLE_INSTRUCTIONS=SSE4_2 OMP_NUM_THREADS=1",
          "ATEN_CPU_CAPABILITY=avx2 MKL_CBWR=COMPATIBLE OMP_NUM_THREADS=2"};
}

}  // namespace elbo
