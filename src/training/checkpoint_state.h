#pragma once
#include "elbo/training/checkpoint.h"

namespace elbo::detail {

std::string state_json(const CheckpointState& state);
/// Throws: CheckpointError that names the file and what is wrong in it.
CheckpointState read_state(const std::filesystem::path& file);

/// "step-120"; the step of such a name, or nothing.
std::string checkpoint_name(int64_t step);
std::optional<int64_t> checkpoint_step(const std::filesystem::path& folder);
/// The steps of the whole checkpoints here, ascending.
std::vector<int64_t> checkpoint_steps(const std::filesystem::path& checkpoints);
/// "; others here: step-80, step-100", or nothing, for errors about one checkpoint.
std::string others_here(const std::filesystem::path& folder);

}  // namespace elbo::detail
