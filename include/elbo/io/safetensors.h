#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "elbo/base/array.h"

namespace elbo {
namespace detail {
class InputFile;
}

struct NamedView {
  std::string name = {};
  ArrayView view = {};
};

/// Writes atomically, in the given order except that wider element types come first, so that every tensor lies aligned.
/// The same tensors and metadata give the same bytes.
/// Throws: UsageError for a name that is empty, repeated or reserved, or bytes that disagree with the shape.
void write_safetensors(const std::filesystem::path& path, const std::vector<NamedView>& tensors,
                       const std::map<std::string, std::string>& metadata = {});

struct TensorInfo {
  DType dtype = DType::f32;
  std::vector<int64_t> shape = {};
  /// Where in the file its bytes are.
  uint64_t offset = 0;
  uint64_t num_bytes = 0;
};

/// A safetensors file whose header is fully checked when it is opened; tensors are read one at a time.
/// Throws: CheckpointError with path and byte offset.
class SafetensorsFile {
 public:
  explicit SafetensorsFile(std::filesystem::path path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;

  /// In the order of their bytes in the file.
  const std::vector<std::string>& names() const { return names_; }
  bool contains(const std::string& name) const { return tensors_.contains(name); }
  const TensorInfo& info(const std::string& name) const;
  Array read(const std::string& name) const;
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  std::unique_ptr<detail::InputFile> file_;
  std::vector<std::string> names_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace elbo
