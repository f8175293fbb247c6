#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/png.h"
#include "elbo/models/model.h"

// What commands that show a model's pictures and codes share.

namespace elbo {

/// A long computation must not fail at its end over a name that was wrong from the start. Throws: UsageError.
inline void check_output_folder(const std::string& option, const std::string& path) {
  if (std::filesystem::is_directory(path)) {
    throw UsageError("--" + option + ": " + in_quotes(path) + " is a folder; choose another name");
  }
  const auto folder = std::filesystem::absolute(std::filesystem::path(path)).parent_path();
  if (std::filesystem::is_directory(folder)) return;
  throw UsageError("--" + option + ": got " + in_quotes(path) + ", but there is no folder " + in_quotes(folder.string()) +
                   "; create it or choose another");
}

/// Where both names lead to one file. A file that isn't there yet is told by its name.
inline bool same_file(const std::filesystem::path& a, const std::filesystem::path& b) {
  std::error_code none;
  return std::filesystem::equivalent(a, b, none) ||
         std::filesystem::absolute(a).lexically_normal() == std::filesystem::absolute(b).lexically_normal();
}

/// What a picture that was named so comes back as.
inline std::string png_name(const std::string& name) { return std::filesystem::path(name).stem().string() + ".png"; }

/// Why no file system takes the picture under that name, "makes a .png name of 256 bytes, …"; or nothing.
inline std::string png_name_problem(const std::string& name) {
  constexpr size_t kMaxBytes = 255;
  const auto bytes = png_name(name).size();
  return bytes > kMaxBytes ? text("makes a .png name of ", bytes, " bytes, expected at most ", kMaxBytes) : "";
}

/// The model as one that can. Throws: UsageError: "this model is quantized and can't encode".
template <class Ability>
Ability& able_to(Model& model, const char* what) {
  if (auto* found = dynamic_cast<Ability*>(&model)) return *found;
  throw UsageError("this model is " + std::string(model.family()) + " and can't " + what);
}

}  // namespace elbo
