#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "classifier_network.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/io/safetensors.h"
#include "elbo/io/sha256.h"
#include "elbo/math/tensors.h"
#include "elbo/training/checkpoint.h"

namespace elbo {
namespace fs = std::filesystem;
namespace {

constexpr const char* kWeightsDigest = "weights_sha256";

/// What decides the weights.
std::map<std::string, std::string> origin_of(const ClassifierTask& task) {
  return {
      {"data_sha256", task.dataset->fingerprint()}, {"field", task.field}, {"recipe", std::to_string(detail::kClassifierRecipe)}};
}

/// A file for every origin: a letter of a field's name may be one that no file's can have.
fs::path file_of(const std::map<std::string, std::string>& origin) {
  std::string whole, readable;
  for (const auto& [key, value] : origin) whole += key + "=" + value + "\n";
  for (const char c : origin.at("field")) readable += std::isalnum(static_cast<unsigned char>(c)) ? c : '_';
  return "classifier-" + readable.substr(0, 32) + "-" + sha256(whole).substr(0, 16) + ".safetensors";
}

/// Bytes are all that the format has no check of.
std::string digest_of(const std::vector<NamedTensor>& tensors) {
  Sha256 digest;
  for (const auto& [name, tensor] : tensors) {
    const auto host = tensor.detach().to(at::kCPU).contiguous();
    digest.update(name);
    digest.update(view_of(host).bytes);
  }
  return digest.hex();
}

void write_network(const fs::path& path, const detail::ClassifierNetwork& network, std::map<std::string, std::string> metadata) {
  const auto tensors = named_tensors(network);
  std::vector<Tensor> on_host;  // outlive the views
  std::vector<NamedView> views;
  on_host.reserve(tensors.size());
  for (const auto& [name, tensor] : tensors) {
    on_host.push_back(tensor.detach().to(at::kCPU).contiguous());
    views.push_back({name, view_of(on_host.back())});
  }
  metadata[kWeightsDigest] = digest_of(tensors);
  fs::create_directories(path.parent_path());
  write_safetensors(path, views, metadata);
}

/// Throws: CheckpointError where the file isn't what was written for this origin.
void read_network(const fs::path& path, detail::ClassifierNetwork& network, const std::map<std::string, std::string>& origin) {
  const auto metadata = SafetensorsFile(path).metadata();
  const auto is = [&](const std::string& key, const std::string& value) {
    const auto found = metadata.find(key);
    return found != metadata.end() && found->second == value;
  };
  for (const auto& [key, value] : origin) {
    if (!is(key, value)) throw CheckpointError(path.string() + ": it has another " + key);
  }
  load_by_name(path, named_tensors(network));
  if (!is(kWeightsDigest, digest_of(named_tensors(network)))) throw CheckpointError(path.string() + ": its weights are altered");
}

}  // namespace

std::shared_ptr<const Classifier> kept_classifier(const ClassifierTask& task, const fs::path& cache) {
  auto network = detail::network_for(task);
  if (!network) return detail::label_itself();
  if (cache.empty()) {
    detail::train_network(*network, task);
    return network;
  }
  const auto origin = origin_of(task);
  const auto path = cache / file_of(origin);
  if (fs::exists(path)) {
    try {
      read_network(path, *network, origin);
      return network;
    } catch (const CheckpointError& error) {
      log_warn(text("the classifier of ", task.field, " is trained again, since the kept one is of no use: ", error.what()));
      network = detail::network_for(task);
    }
  }
  detail::train_network(*network, task);
  try {
    write_network(path, *network, origin);
  } catch (const std::exception& error) {
    log_warn(text("the classifier of ", task.field, " could not be kept: ", error.what()));
  }
  return network;
}

std::shared_ptr<const Classifier> classifier_of(const EvaluationContext& context, const std::string& field) {
  struct Entry {
    std::weak_ptr<const Dataset> dataset = {};
    std::string field = {};
    at::Device device = at::kCPU;
    std::shared_ptr<const Classifier> classifier = nullptr;
  };
  static std::mutex guard;
  static std::vector<Entry> entries;
  const std::lock_guard lock(guard);
  std::erase_if(entries, [](const Entry& entry) { return entry.dataset.expired(); });
  for (const auto& entry : entries) {
    if (entry.dataset.lock() == context.dataset && entry.field == field && entry.device == context.device)
      return entry.classifier;
  }
  const ClassifierTask task{.dataset = context.dataset, .field = field, .device = context.device, .progress = context.progress};
  entries.push_back({context.dataset, field, context.device, kept_classifier(task, context.cache)});
  return entries.back().classifier;
}

}  // namespace elbo
