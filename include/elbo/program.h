#pragma once

namespace elbo {

/// The program `elbo` as a function: train, evaluate, sample, … on the components of all catalogs. A program that first adds
/// components of its own (`objectives().add<MyConfig>(…)`) and then returns this has them in every command.
/// Prints; returns the exit code. Tells the allocator to keep freed memory.
int run_program(int argc, const char* const* argv);

}  // namespace elbo
