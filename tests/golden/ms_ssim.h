#pragma once
// Written by scripts/make_golden_ms_ssim.py with pytorch-msssim 1.0.0. Don't edit.
#include <cstdint>
#include <vector>

namespace elbo::golden {

struct MultiScaleSimilarity {
  std::vector<int64_t> shape = {};
  int64_t scales = 0;
  double share = 0;
  double ms_ssim = 0;
};

inline const std::vector<MultiScaleSimilarity> kMultiScaleSimilarities = {
    {{1, 176, 176}, 5, 0.1, 0.9934986909649292},
    {{1, 176, 176}, 5, 0.7, 0.6239918148107277},
    {{3, 161, 190}, 5, 0.1, 0.9968405310376461},
    {{3, 161, 190}, 5, 0.7, 0.8013666972992243},
    {{2, 165, 161}, 3, 0.1, 0.9922356973801407},
    {{2, 165, 161}, 3, 0.7, 0.5701777555903131},
    {{1, 161, 163}, 1, 0.1, 0.9894437865097166},
    {{1, 161, 163}, 1, 0.7, 0.4077862515608385},
};

}  // namespace elbo::golden
