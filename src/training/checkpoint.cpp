#include "elbo/training/checkpoint.h"

#include <algorithm>
#include <map>

#include "checkpoint_state.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/safetensors.h"
#include "elbo/io/sha256.h"
#include "elbo/math/tensors.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kSums = "SHA256SUMS";
constexpr const char* kObjective = "objective.";
constexpr std::array<std::string_view, 4> kFiles = {"config.yaml", "model.safetensors", "state.json", "training.safetensors"};
constexpr size_t kMaxTextBytes = size_t{4} << 20;

void write_tensors(const fs::path& path, const std::vector<NamedTensor>& tensors) {
  std::vector<Tensor> on_host;  // outlive the views
  std::vector<NamedView> views;
  for (const auto& [name, tensor] : tensors) {
    on_host.push_back(tensor.detach().to(at::kCPU).contiguous());
    views.push_back({name, view_of(on_host.back())});
  }
  write_safetensors(path, views);
}

/// Digests by file name, as sha256sum writes them.
std::map<std::string, std::string> read_sums(const fs::path& path) {
  std::map<std::string, std::string> sums;
  for (const auto& line : split(read_text(path, kMaxTextBytes), '\n')) {
    if (line.empty()) continue;
    const auto gap = line.find("  ");
    if (gap != 64) throw CheckpointError(path.string() + ": expected lines of a SHA-256 digest, two spaces and a file name");
    sums[line.substr(gap + 2)] = line.substr(0, gap);
  }
  return sums;
}

std::string shape_of(const TensorInfo& info) { return std::string(name_of(info.dtype)) + " " + shape_text(info.shape); }
std::string shape_of(const Tensor& tensor) {
  return std::string(name_of(dtype_of(tensor.scalar_type()))) + " " + shape_text(tensor.sizes());
}

}  // namespace

void write_checkpoint(const fs::path& folder, const CheckpointContents& contents) {
  AtomicFolder target(folder);
  write_tensors(target.path() / "model.safetensors", contents.model);
  write_tensors(target.path() / "training.safetensors", contents.training);
  auto state = contents.state;
  state.config_sha256 = sha256(contents.config_yaml);
  write_atomically(target.path() / "state.json", detail::state_json(state));
  write_atomically(target.path() / "config.yaml", contents.config_yaml);
  std::string sums;
  for (const auto file : kFiles) sums += sha256_file(target.path() / file) + "  " + std::string(file) + "\n";
  write_atomically(target.path() / kSums, sums);
  target.commit();
}

Checkpoint::Checkpoint(fs::path folder) : folder_(std::move(folder)) {
  const auto fail = [&](const std::string& what) {
    throw CheckpointError(folder_.string() + ": " + what + detail::others_here(folder_));
  };
  if (!fs::is_directory(folder_)) fail("there is no such checkpoint");
  if (!fs::exists(folder_ / kSums)) fail("the checkpoint has no SHA256SUMS: it is not whole");
  const auto sums = read_sums(folder_ / kSums);
  for (const auto file : kFiles) {
    const auto name = std::string(file);
    if (!fs::exists(folder_ / file)) fail("the checkpoint lacks " + name);
    const auto expected = sums.find(name);
    if (expected == sums.end()) fail("SHA256SUMS doesn't list " + name);
    if (sha256_file(folder_ / file) != expected->second)
      fail(name + " is damaged: it has another SHA-256 than when it was written");
  }
  model_sha256_ = sums.at("model.safetensors");
  state_ = detail::read_state(folder_ / "state.json");
  config_yaml_ = read_text(folder_ / "config.yaml", kMaxTextBytes);
}

void Checkpoint::load_model(torch::nn::Module& model) const { load_by_name(model_file(), named_tensors(model)); }

void Checkpoint::load_objective(torch::nn::Module& objective) const {
  const auto tensors = named_tensors(objective, kObjective);
  if (tensors.empty()) return;
  const SafetensorsFile file(training_file());
  const auto names = file.names();
  const auto is_objectives = [](const std::string& name) { return name.starts_with(kObjective); };
  if (std::none_of(names.begin(), names.end(), is_objectives)) return;
  load_by_name(training_file(), tensors, kObjective);
}

std::vector<NamedTensor> named_tensors(const torch::nn::Module& module, const std::string& prefix) {
  std::vector<NamedTensor> tensors;
  for (const auto& item : module.named_parameters()) {
    if (item.value().defined()) tensors.push_back({prefix + item.key(), item.value()});
  }
  for (const auto& item : module.named_buffers()) {
    // A buffer without elements only follows its module from device to device.
    if (item.value().defined() && item.value().numel() > 0) tensors.push_back({prefix + item.key(), item.value()});
  }
  return tensors;
}

void load_by_name(const fs::path& path, const std::vector<NamedTensor>& tensors, std::string_view prefix) {
  const SafetensorsFile file(path);
  std::vector<std::string> problems;
  std::vector<std::string> wanted;
  for (const auto& [name, tensor] : tensors) {
    wanted.push_back(name);
    if (!file.contains(name)) {
      problems.push_back("missing: " + name + " (" + shape_of(tensor) + ")");
    } else if (shape_of(file.info(name)) != shape_of(tensor)) {
      problems.push_back("misshapen: " + name + " is " + shape_of(file.info(name)) + ", expected " + shape_of(tensor));
    }
  }
  std::sort(wanted.begin(), wanted.end());
  for (const auto& name : file.names()) {
    if (name.starts_with(prefix) && !std::binary_search(wanted.begin(), wanted.end(), name)) {
      problems.push_back("unexpected: " + name + " (" + shape_of(file.info(name)) + ")");
    }
  }
  if (!problems.empty()) {
    throw CheckpointError(path.string() + " does not fit what it is loaded into:\n  " + join(problems, "\n  "));
  }
  torch::NoGradGuard no_grad;
  for (auto [name, tensor] : tensors) tensor.copy_(to_tensor(file.read(name)));
}

}  // namespace elbo
