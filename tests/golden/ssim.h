#pragma once
// Written by scripts/make_golden_ssim.py. Don't edit.
#include <cstdint>
#include <vector>

namespace elbo::golden {

struct Similarity {
  std::vector<int64_t> shape = {};
  double share = 0;
  double ssim = 0;
  double psnr = 0;
};

inline const std::vector<Similarity> kSimilarities = {
    {{1, 11, 11}, 0.1, 0.9886855596285742, 25.91053444089201},
    {{1, 11, 11}, 0.7, 0.3595543329573108, 9.008573640606876},
    {{1, 28, 28}, 0.1, 0.9887021816250396, 25.894438972260666},
    {{1, 28, 28}, 0.7, 0.35958319147560935, 8.99247817197553},
    {{3, 14, 17}, 0.1, 0.9887021815931912, 25.8960196528353},
    {{3, 14, 17}, 0.7, 0.35958321490231243, 8.994058852550161},
};

}  // namespace elbo::golden
