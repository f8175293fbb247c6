#include "elbo/config/override.h"

#include <algorithm>
#include <charconv>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace elbo {

namespace {

void mark_all(Node& node, const Mark& mark) {
  node.mark = mark;
  for (auto& item : node.items) mark_all(item, mark);
  for (auto& entry : node.entries) mark_all(entry.second, mark);
}

/// Read in brackets, so that only what fits on a line of a flow map is a value: no block maps, no further keys, no documents.
Node parse_value(std::string_view value, const std::string& origin) {
  if (value.find_first_of("\n\r") != std::string_view::npos)
    throw ConfigError(origin + ": the value spans lines, expected one line");
  Node list;
  try {
    list = parse_yaml("[" + std::string(value) + "\n]", origin);
  } catch (const ConfigError&) {
    throw ConfigError(origin + ": the value " + in_quotes(value) +
                      " isn't YAML; put quotes around texts with special characters");
  }
  if (list.kind != NodeKind::list || list.items.size() > 1) {
    throw ConfigError(origin + ": got " + in_quotes(value) + ", expected one value; a list is written [" +
                      std::string(trim(value)) + "]");
  }
  return list.items.empty() ? Node{} : std::move(list.items.front());
}

/// The place that `name` names below `node`; a missing map entry is made.
Node& step_into(Node& node, const std::string& name, const std::string& path, const Mark& mark) {
  if (node.kind == NodeKind::list) {
    size_t index = 0;
    const auto result = std::from_chars(name.data(), name.data() + name.size(), index);
    if (result.ec != std::errc{} || result.ptr != name.data() + name.size() || index >= node.items.size()) {
      throw ConfigError(mark.file + ": " + path + " is a list of " + std::to_string(node.items.size()) +
                        ", expected a number from 0 to one less in place of " + in_quotes(name));
    }
    return node.items[index];
  }
  if (node.kind == NodeKind::scalar) {
    throw ConfigError(mark.file + ": " + path + " is the value " + in_quotes(node.text) + ", so it has no " + in_quotes(name) +
                      "; set the whole of it, as in " + path + "={type: …, …}");
  }
  node.kind = NodeKind::map;
  if (Node* found = node.find(name)) return *found;
  Node fresh;
  fresh.mark = mark;
  return node.entries.emplace_back(name, std::move(fresh)).second;
}

}  // namespace

void apply_override(Node& root, std::string_view assignment, int64_t position) {
  constexpr size_t kLongest = 200;
  const std::string origin = "--set " + (assignment.size() <= kLongest && !find_invalid_utf8(assignment) ? std::string(assignment)
                                                                                                         : in_quotes(assignment));
  const Mark mark{.file = origin, .line = 0, .order = position};
  const size_t equals = assignment.find('=');
  const auto names = split(trim(assignment.substr(0, equals)), '.');
  const bool has_empty_name = std::any_of(names.begin(), names.end(), [](const std::string& name) { return trim(name).empty(); });
  if (equals == std::string_view::npos || has_empty_name)
    throw ConfigError(origin + ": expected key=value, such as objective.beta=4");
  if (static_cast<int>(names.size()) > kMaxYamlDepth) throw ConfigError(origin + ": the key has too many parts");
  Node value = parse_value(assignment.substr(equals + 1), origin);
  mark_all(value, mark);
  Node* place = &root;
  std::string path = "the config";
  for (const auto& name : names) {
    place = &step_into(*place, name, path, mark);
    path = path == "the config" ? name : path + "." + name;
  }
  *place = std::move(value);
}

void apply_overrides(Node& root, std::span<const std::string> assignments) {
  int64_t position = 0;
  for (const auto& assignment : assignments) apply_override(root, assignment, ++position);
}

}  // namespace elbo
