#include "elbo/training/import.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/safetensors.h"
#include "elbo/math/tensors.h"
#include "elbo/training/checkpoint.h"

namespace elbo {
namespace {

/// The name here of a tensor of the file.
std::string renamed(const std::string& name, const std::vector<Rename>& renames) {
  for (const auto& [from, to] : renames) {
    const bool whole = name == from;
    const bool part = from.empty() || (name.starts_with(from) && name.size() > from.size() && name[from.size()] == '.');
    if (!whole && !part) continue;
    const auto rest = from.empty() ? name : name.substr(std::min(name.size(), from.size() + 1));
    return to.empty() ? rest : rest.empty() ? to : to + "." + rest;
  }
  return name;
}

std::string described(DType type, at::IntArrayRef shape) { return std::string(name_of(type)) + " " + shape_text(shape); }
std::string described(const TensorInfo& info) { return described(info.dtype, info.shape); }
std::string described(const Tensor& tensor) { return described(dtype_of(tensor.scalar_type()), tensor.sizes()); }

bool floating(DType type) { return at::isFloatingType(scalar_type_of(type)); }

bool converts(DType from, DType to) { return from == to || (floating(from) && floating(to)); }

std::string stem_of(const std::string& name) {
  const auto dot = name.rfind('.');
  return dot == std::string::npos ? name : name.substr(0, dot);
}
std::string leaf_of(const std::string& name) { return name.substr(name.rfind('.') + 1); }

struct Weights {
  const SafetensorsFile& file;
  std::map<std::string, Tensor> wanted = {};        // by the names here
  std::map<std::string, std::string> sources = {};  // name here -> name in the file
};

/// ", its transpose fits" where that is so: layers of other libraries are stored [in, out].
std::string transpose_hint(const TensorInfo& info, const Tensor& tensor) {
  const std::vector<int64_t> turned(info.shape.rbegin(), info.shape.rend());
  return info.shape.size() == 2 && tensor.sizes() == turned ? "; its transpose would fit" : "";
}

/// "--rename fc1=encoder.layers.0" for each unexpected part that fits exactly one missing part, and only that, by shapes and last
/// names.
std::vector<std::string> suggestions(const Weights& weights, const std::vector<std::string>& missing,
                                     const std::vector<std::string>& unexpected) {
  std::map<std::string, std::map<std::string, std::vector<int64_t>>> holes, parts;  // stem -> last name -> shape
  for (const auto& name : missing) holes[stem_of(name)][leaf_of(name)] = weights.wanted.at(name).sizes().vec();
  for (const auto& name : unexpected) parts[stem_of(name)][leaf_of(name)] = weights.file.info(name).shape;
  const auto only_fit = [](const auto& tensors, const auto& candidates) -> std::optional<std::string> {
    std::optional<std::string> found;
    for (const auto& [stem, shapes] : candidates) {
      if (shapes != tensors) continue;
      if (found) return std::nullopt;
      found = stem;
    }
    return found;
  };
  std::vector<std::string> options;
  for (const auto& [stem, shapes] : parts) {
    const auto here = only_fit(shapes, holes);
    if (here && only_fit(shapes, parts) == stem) options.push_back("--rename " + stem + "=" + *here);
  }
  return options;
}

}  // namespace

ImportReport import_weights(const std::filesystem::path& path, torch::nn::Module& module, const ImportOptions& options) {
  const SafetensorsFile file(path);
  Weights weights{.file = file};
  for (const auto& [name, tensor] : named_tensors(module)) weights.wanted[name] = tensor;
  std::vector<std::string> problems;
  ImportReport report;
  for (const auto& name : file.names()) {
    const auto here = renamed(name, options.renames);
    const auto [place, fresh] = weights.sources.emplace(here, name);
    if (!fresh) {
      problems.push_back("twice: " + place->second + " and " + name + " are both " + here);
    } else if (!weights.wanted.contains(here)) {
      report.unexpected.push_back(name);
    }
  }
  for (const auto& [name, tensor] : weights.wanted) {
    const auto source = weights.sources.find(name);
    if (source == weights.sources.end()) {
      report.missing.push_back(name);
      continue;
    }
    const auto& info = file.info(source->second);
    if (tensor.sizes() != info.shape || !converts(info.dtype, dtype_of(tensor.scalar_type()))) {
      problems.push_back("misshapen: " + name + " is " + described(info) + ", expected " + described(tensor) +
                         transpose_hint(info, tensor));
    }
    report.loaded.push_back(name);
  }
  if (options.fit == ImportFit::exact) {
    for (const auto& name : report.missing)
      problems.push_back("missing: " + name + " (" + described(weights.wanted.at(name)) + ")");
    for (const auto& name : report.unexpected) {
      const auto here = renamed(name, options.renames);
      problems.push_back("unexpected: " + name + (here == name ? "" : ", here " + here) + " (" + described(file.info(name)) +
                         ")");
    }
  }
  if (report.loaded.empty() && problems.empty()) problems.push_back("no tensor of the file has a name of the model's");

  std::map<std::string, Tensor> values;
  for (const auto& name : problems.empty() ? report.loaded : std::vector<std::string>{}) {
    values[name] = to_tensor(file.read(weights.sources.at(name)));
    if (values[name].is_floating_point() && !values[name].isfinite().all().item<bool>())
      problems.push_back("not finite: " + name + " holds NaN or infinity");
  }
  if (!problems.empty()) {
    const auto renames = suggestions(weights, report.missing, report.unexpected);
    throw CheckpointError(path.string() + " does not fit what it is loaded into:\n  " + join(problems, "\n  ") +
                          (renames.empty() ? "" : "\nby shape it might be: " + join(renames, " ")));
  }
  const torch::NoGradGuard no_grad;
  for (const auto& [name, value] : values) weights.wanted.at(name).copy_(value);
  return report;
}

}  // namespace elbo
