#include <ATen/Parallel.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "elbo/math/arithmetic.h"
#include "math/exact_numbers.h"
#include "support/child.h"

// What exact arithmetic gave when the first files were written. A file is read by the numbers that wrote it: where one of these
// changes, by a bit, old files decode to other codes, and the format needs a new version.

namespace elbo::exact_golden_test {

using exact_numbers::hash_of;
using exact_numbers::scattered;

struct Golden {
  std::string name = {};
  std::function<Tensor(Arithmetic&)> numbers = {};
  uint64_t hash = 0;
};

/// Arguments of the elementwise functions: dense near 0, up to where the exponential is cut off, and beyond.
Tensor arguments() {
  const auto extremes = torch::tensor({0.0, -0.0, 1e-300, -1e-9, 99.99, 100.0, 100.01, -100.01, 708.5, -745.0, 1e30, -1e30});
  return torch::cat({scattered({3001}), 20 * scattered({3001}, 1), 120 * scattered({3001}, 2), extremes.to(torch::kDouble)});
}

/// Rows from 2^-40 to 2^40.
Tensor rows(at::IntArrayRef shape, int64_t salt) {
  auto numbers = scattered(shape, salt);
  const auto flat = numbers.view({-1, shape.back()});
  for (int64_t i = 0; i < flat.size(0); ++i) flat[i].mul_(std::ldexp(1.0, static_cast<int>(i * 17 % 81) - 40));
  return numbers;
}

Tensor causal(const Tensor& scores) {
  return scores.masked_fill(torch::ones({scores.size(-2), scores.size(-1)}, torch::kBool).triu(0), -INFINITY);
}

std::vector<Golden> goldens() {
  const auto in_float = [](const Tensor& x) { return x.to(torch::kFloat); };
  return {
      {"linear",
       [](Arithmetic& a) {
         return a.linear(rows({31, 97}, 1), rows({29, 97}, 2), scattered({29}, 3));
       },
       7096242081607304750U},
      {"linear of float32",
       [=](Arithmetic& a) {
         return a.linear(in_float(scattered({8, 64}, 1)), in_float(scattered({40, 64}, 2)), {});
       },
       7529675072612180611U},
      {"linear of a long row",
       [](Arithmetic& a) {
         return a.linear(scattered({3, 20000}, 4), scattered({5, 20000}, 5), {});
       },
       3003904433121574945U},
      {"conv",
       [](Arithmetic& a) {
         return a.conv(scattered({2, 5, 7, 6}, 6), scattered({9, 5, 2, 3}, 7), scattered({9}, 8));
       },
       6049717263972747196U},
      {"scores",
       [](Arithmetic& a) {
         return a.scores(rows({3, 13, 24}, 9), rows({3, 17, 24}, 10));
       },
       9140675246463360255U},
      {"softmax",
       [](Arithmetic& a) {
         return a.softmax(causal(12 * scattered({4, 60, 60}, 11)));
       },
       4410698532918039749U},
      {"attend",
       [](Arithmetic& a) {
         return a.attend(a.softmax(9 * scattered({3, 11, 50}, 12)), 200 * scattered({3, 50, 8}, 13));
       },
       1251745798240741323U},
      {"layer_norm",
       [](Arithmetic& a) {
         return a.layer_norm(rows({81, 96}, 14) + 0.25, scattered({96}, 15), scattered({96}, 16));
       },
       17645823965952801218U},
      {"sigmoid", [](Arithmetic& a) { return a.sigmoid(arguments()); }, 10895937410429284887U},
      {"tanh", [](Arithmetic& a) { return a.tanh(arguments()); }, 1044421047179890638U},
      {"elu", [](Arithmetic& a) { return a.elu(arguments()); }, 18107239545371472678U},
      {"gelu", [](Arithmetic& a) { return a.gelu(arguments()); }, 1007172723845310U},
  };
}

TEST(ExactGolden, EveryOperation) {
  const int threads = at::get_num_threads();
  const auto fixed = exact_arithmetic_of_fixed_weights();
  for (const int count : {1, 3}) {
    at::set_num_threads(count);
    for (const auto& golden : goldens()) {
      EXPECT_EQ(hash_of(golden.numbers(exact_arithmetic())), golden.hash) << golden.name << ", " << count << " threads";
      EXPECT_EQ(hash_of(golden.numbers(*fixed)), golden.hash) << golden.name << " of fixed weights";
    }
  }
  at::set_num_threads(threads);
}

TEST(ExactGolden, InstructionSetsDoNotMatter) {
  for (const auto& instructions : other_instruction_sets()) {
    EXPECT_EQ(lines_of_child(instructions, "ExactGolden.EveryOperation", "[  PASSED  ] "), std::vector<std::string>{"1 test."})
        << instructions;
  }
}

/// The numbers that the goldens stand for are numbers.
TEST(ExactGolden, StandsForFiniteNumbers) {
  for (const auto& golden : goldens()) {
    EXPECT_TRUE(golden.numbers(exact_arithmetic()).isfinite().all().item<bool>()) << golden.name;
  }
}

}  // namespace elbo::exact_golden_test
