#pragma once
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "elbo/config/yaml.h"
#include "elbo/data/dataset.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"

namespace elbo::data_test {

/// A folder that is gone when the test is.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "elbo-data-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, const std::string& bytes) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << bytes;
}

/// An IDX file's bytes.
inline std::string idx(int code, const std::vector<int64_t>& shape, const std::string& data) {
  std::string bytes = {0, 0, static_cast<char>(code), static_cast<char>(shape.size())};
  for (const int64_t extent : shape) {
    for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(extent >> shift & 0xff);
  }
  return bytes + data;
}

/// `count` bytes 0, 7, 14, … modulo `modulus`.
inline std::string ramp(int64_t count, int64_t modulus = 256) {
  std::string bytes;
  for (int64_t i = 0; i < count; ++i) bytes += static_cast<char>(i * 7 % modulus);
  return bytes;
}

/// The four files of an MNIST with so few rows.
inline void write_mnist(const std::filesystem::path& folder, int64_t num_train, int64_t num_test) {
  for (const auto& [prefix, n] : {std::pair("train", num_train), std::pair("t10k", num_test)}) {
    write_file(folder / (std::string(prefix) + "-images-idx3-ubyte"), idx(8, {n, 28, 28}, ramp(n * 784)));
    write_file(folder / (std::string(prefix) + "-labels-idx1-ubyte"), idx(8, {n}, ramp(n, 10)));
  }
}

struct Section {
  DatasetChoice data{datasets};

  template <class F>
  void fields(F& field) {
    field("data", data, "");
  }
};

/// The data set that the config `data: YAML` chooses.
inline std::shared_ptr<Dataset> from_yaml(const std::string& yaml, const DataContext& context) {
  return read_config<Section>(parse_yaml("data: " + yaml + "\n", "a.yaml")).data.make(context);
}

inline Tensor all_rows(const Dataset& dataset, Split split) { return torch::arange(dataset.size(split)); }

/// One field of a whole split.
inline Tensor whole(const Dataset& dataset, Split split, const std::string& field = "x") {
  Stream stream(99, "test", at::kCPU);
  return dataset.gather(split, all_rows(dataset, split), stream).at(field);
}

}  // namespace elbo::data_test
