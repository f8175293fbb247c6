#pragma once
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/io/safetensors.h"
#include "source.h"

namespace elbo::detail {

struct SafetensorsHeader {
  /// In the order of their bytes.
  std::vector<std::string> names = {};
  std::map<std::string, TensorInfo> tensors = {};
  std::map<std::string, std::string> metadata = {};
};

/// The header, wholly checked: what passes describes a file in which every byte belongs to exactly one tensor.
SafetensorsHeader read_safetensors_header(const InputFile& file);

/// "F32" and its relatives.
std::string_view safetensors_name(DType type);

}  // namespace elbo::detail
