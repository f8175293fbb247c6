#pragma once
#include <torch/nn/module.h>

#include <filesystem>
#include <string>
#include <vector>

namespace elbo {

/// A part of a tensor's path that has another name in the file: `fc1` for `encoder.layers.0` renames fc1.weight and fc1.bias.
/// Whole parts between dots are compared.
struct Rename {
  std::string from = {};  // in the file; empty puts `to` before every name
  std::string to = {};    // here
};

/// Whether a file must hold exactly what the module has.
enum class ImportFit {
  exact,
  partial  // what is missing keeps its value, what is unexpected is left out
};

struct ImportOptions {
  std::vector<Rename> renames = {};  // the first that applies counts
  ImportFit fit = ImportFit::exact;
};

/// What an import did, by the names here (`unexpected`: by those of the file).
struct ImportReport {
  std::vector<std::string> loaded = {};
  std::vector<std::string> missing = {};
  std::vector<std::string> unexpected = {};
};

/// Copies a safetensors file that another program wrote, say PyTorch, into the parameters and buffers of a module by name, on
/// whatever device they are. Floating-point types are converted. Nothing is changed unless all fits. Throws: CheckpointError with
/// everything missing, unexpected, misshapen and not finite in one message, and the renames that would help.
ImportReport import_weights(const std::filesystem::path& file, torch::nn::Module& module, const ImportOptions& options = {});

}  // namespace elbo
