#pragma once
#include <array>
#include <string_view>
#include <utility>

#include "elbo/config/problems.h"
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// How finite scalar quantisation bounds a channel before it rounds.
enum class FsqBound {
  offset,    // tanh(z + shift) half - offset: zero is a level of every channel, an even number of levels lies off centre
  symmetric  // 2 / (L - 1) floor((L - 1)(tanh z + 1) / 2 + 1/2) - 1: Parker et al. 2024 (arXiv:2411.19842), eq. 1
};
constexpr auto enum_names(FsqBound) {
  return std::array{std::pair{std::string_view("offset"), FsqBound::offset},
                    std::pair{std::string_view("symmetric"), FsqBound::symmetric}};
}

/// Finite scalar quantisation: each channel is bounded and rounded to one of its L levels; the code is their mixed-radix number,
/// first channel lowest. Nothing is learnt and there is no term.
/// Source: Mentzer et al. 2024 (arXiv:2309.15505), section 3.1. Differs: half = (L - 1)(1 + 1e-3) / 2 and shift =
/// atanh(offset / half), as the authors' code has it after correction; the levels are the paper's.
/// Gradient: of the bound; only the rounding is passed straight through.
struct FsqConfig {
  std::vector<int64_t> levels = {8, 8, 8, 4, 4};
  FsqBound bound = FsqBound::offset;

  template <class F>
  void fields(F& field) {
    field("levels", levels, "levels of each channel; their number is the code size, their product the number of codes",
          between(2, 4096), length_between(1, 64));
    field("bound", bound, "offset (Mentzer et al. 2024), or symmetric: levels from -1 to 1 (Parker et al. 2024)");
  }
  void check(Relations& relations) const;
};

/// Throws: ConfigError when there are more than 2^62 codes.
std::shared_ptr<Quantizer> make_fsq(const FsqConfig& config, const QuantizerContext& context);

}  // namespace elbo
