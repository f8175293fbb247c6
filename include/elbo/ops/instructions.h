#pragma once

namespace elbo {

/// The vector instructions for which the CPU kernels of products and searches are compiled; which of them run is decided when the
/// program starts, from the CPU.
enum class Instructions { portable, avx2, avx512 };

/// The widest that this CPU and its system have.
Instructions best_instructions();

/// What runs now: the best unless a scope below says otherwise.
Instructions instructions_in_use();

/// While it lives, kernels use at most these instructions in the whole process: for tests and comparisons.
class InstructionsScope {
 public:
  explicit InstructionsScope(Instructions most);
  ~InstructionsScope();
  InstructionsScope(const InstructionsScope&) = delete;
  InstructionsScope& operator=(const InstructionsScope&) = delete;

 private:
  Instructions previous_;
};

}  // namespace elbo
