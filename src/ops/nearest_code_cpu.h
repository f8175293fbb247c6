#pragma once
#include <cstdint>

namespace elbo::detail {

/// Row-major z [N, D] and codes [V, D]; V >= 1.
struct CodeSearch {
  const float* z = nullptr;
  const float* codes = nullptr;
  int64_t N = 0, V = 0, D = 0;
  int64_t* index = nullptr;   // [N]
  float* distance = nullptr;  // [N], squared
};

/// As nearest_code(). A row without a finite score gets index 0, a code that isn't finite is never chosen.
void search_nearest_code(const CodeSearch& search);

}  // namespace elbo::detail
