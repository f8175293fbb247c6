#pragma once
#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>

#include "elbo/config/node.h"

namespace elbo {

inline constexpr size_t kMaxYamlBytes = size_t{1} << 20;
inline constexpr size_t kMaxYamlNodes = 10'000;  // after aliases are expanded
inline constexpr int kMaxYamlDepth = 64;

/// One YAML document whose keys are plain texts. Refused: several documents, `<<`, tags, NUL and other control characters, text
/// that isn't UTF-8, an empty document, more than the limits above. Throws: ConfigError with file:line.
Node parse_yaml(std::string_view yaml, const std::string& file);

/// Throws: ConfigError when the file is missing, unreadable, no regular file, over 1 MiB or not the YAML we take.
Node load_yaml(const std::filesystem::path& path);

/// Block maps, lists of scalars in brackets, comments of the nodes at the line's end when asked for. parse_yaml reads it back.
enum class YamlComments { leave_out, write };
std::string to_yaml(const Node& node, YamlComments comments = YamlComments::leave_out);

/// The same on one line: `{type: linear, from: 0}`, `[200, 200]`, `0.5`.
std::string to_flow_yaml(const Node& node);

}  // namespace elbo
