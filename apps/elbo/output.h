#pragma once
#include <filesystem>
#include <optional>
#include <string>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/png.h"
#include "elbo/models/model.h"

// What commands that show a model's pictures and codes share.

namespace elbo {

/// A long computation must not fail at its end over a name that was wrong from the start. Throws: UsageError.
inline void check_output_folder(const std::string& option, const std::string& path) {
  const auto folder = std::filesystem::absolute(std::filesystem::path(path)).parent_path();
  if (std::filesystem::is_directory(folder)) return;
  throw UsageError("--" + option + ": got " + in_quotes(path) + ", but there is no folder " + in_quotes(folder.string()) +
                   "; create it or choose another");
}

/// The model as one that can. Throws: UsageError: "this model is quantized and can't encode".
template <class Ability>
Ability& able_to(Model& model, const char* what) {
  if (auto* found = dynamic_cast<Ability*>(&model)) return *found;
  throw UsageError("this model is " + std::string(model.family()) + " and can't " + what);
}

}  // namespace elbo
