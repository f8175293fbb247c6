#include "elbo/io/safetensors.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "elbo/base/error.h"
#include "elbo/io/file.h"
#include "safetensors_header.h"

namespace elbo {
namespace {

std::string quote(const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw UsageError("a name or metadata of a safetensors file is not UTF-8; rename it");
  }
}

void check_names(const std::vector<NamedView>& tensors) {
  std::set<std::string> names;
  for (const auto& [name, view] : tensors) {
    if (name.empty() || name == "__metadata__")
      throw UsageError("'" + name + "' can't name a tensor in a safetensors file; rename it");
    if (!names.insert(name).second) throw UsageError("two tensors are named '" + name + "'; rename one");
    detail::check_view(view, name);
  }
}

std::string header_of(const std::vector<NamedView>& tensors, const std::map<std::string, std::string>& metadata) {
  std::string json;
  const auto add = [&json](const std::string& key, const std::string& value) {
    json += (json.empty() ? "{" : ",") + key + ":" + value;
  };
  std::string pairs;
  for (const auto& [key, value] : metadata) pairs += (pairs.empty() ? "" : ",") + quote(key) + ":" + quote(value);
  if (!metadata.empty()) add("\"__metadata__\"", "{" + pairs + "}");
  uint64_t offset = 0;
  for (const auto& [name, view] : tensors) {
    std::string shape;
    for (const int64_t extent : view.shape) shape += (shape.empty() ? "" : ",") + std::to_string(extent);
    const uint64_t end = offset + view.bytes.size();
    add(quote(name), "{\"dtype\":\"" + std::string(detail::safetensors_name(view.dtype)) + "\",\"shape\":[" + shape +
                         "],\"data_offsets\":[" + std::to_string(offset) + "," + std::to_string(end) + "]}");
    offset = end;
  }
  json += json.empty() ? "{}" : "}";
  json.append((8 - json.size() % 8) % 8, ' ');
  std::string length;
  for (int i = 0; i < 8; ++i) length += static_cast<char>(json.size() >> 8 * i);
  return length + json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, const std::vector<NamedView>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  check_names(tensors);
  // Wide elements first, so that each tensor is aligned to its own type: readers that map the file need it.
  auto ordered = tensors;
  std::stable_sort(ordered.begin(), ordered.end(),
                   [](const NamedView& a, const NamedView& b) { return size_of(a.view.dtype) > size_of(b.view.dtype); });
  const auto header = header_of(ordered, metadata);
  AtomicFile file(path);
  file.write(header);
  for (const auto& tensor : ordered) file.write(tensor.view.bytes);
  file.commit();
}

SafetensorsFile::SafetensorsFile(std::filesystem::path path)
    : file_(std::make_unique<detail::InputFile>(std::move(path), FileRole::run)) {
  auto header = detail::read_safetensors_header(*file_);
  names_ = std::move(header.names);
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
}

SafetensorsFile::~SafetensorsFile() = default;
SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;

const TensorInfo& SafetensorsFile::info(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) {
    throw CheckpointError(file_->path().string() + ": no tensor named '" + name + "' among its " + std::to_string(names_.size()) +
                          "; check that the file belongs to this model");
  }
  return found->second;
}

Array SafetensorsFile::read(const std::string& name) const {
  const TensorInfo& tensor = info(name);
  Array array = {.dtype = tensor.dtype, .shape = tensor.shape};
  array.bytes.resize(tensor.num_bytes);
  file_->read_exactly(tensor.offset, array.bytes);
  if (array.dtype == DType::boolean) {
    if (const auto bad = detail::find_bad_bool(array.bytes)) {
      file_->fail(tensor.offset + *bad,
                  "tensor '" + name + "' has a boolean that is neither 0 nor 1; the file is damaged: get it again");
    }
  }
  return array;
}

}  // namespace elbo
