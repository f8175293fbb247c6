#include "elbo/config/reader.h"

#include <algorithm>
#include <unordered_map>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/scalar.h"
#include "elbo/config/yaml.h"

namespace elbo::detail {

namespace {

/// Reports what a scalar of this type can't be; false when it isn't a plain or quoted scalar as wanted.
bool expect_plain(const Node& node, const Place& place, const char* expected) {
  if (node.kind != NodeKind::scalar) {
    place.problem(node, "got " + describe(node) + ", expected " + expected);
    return false;
  }
  if (node.quoted) {
    place.problem(node, "got the quoted text " + in_quotes(node.text) + ", expected " + expected + " without quotes");
    return false;
  }
  return true;
}

void check_ranges(const Node& node, double value, const Place& place) {
  for (const Range* range :
       {place.rules.range ? &*place.rules.range : nullptr, place.rules.in_outer_range ? place.outer : nullptr}) {
    if (range == nullptr) continue;
    if (auto problem = range_problem(*range, value, node.text)) {
      place.problem(node, *problem);
      return;
    }
  }
}

template <class T>
void read_number(const Node& node, T& value, const Place& place, const char* expected) {
  if (!expect_plain(node, place, expected)) return;
  Parsed<T> parsed;
  if constexpr (std::is_same_v<T, int64_t>) {
    parsed = parse_integer(node.text);
  } else {
    parsed = parse_number(node.text);
  }
  if (!parsed.value) {
    place.problem(node,
                  "got " + in_quotes(node.text) + ", expected " + expected + (parsed.hint.empty() ? "" : ": " + parsed.hint));
    return;
  }
  check_ranges(node, static_cast<double>(*parsed.value), place);
  value = *parsed.value;
}

/// Characters of a text, items of the rest.
void check_length(const Node& node, size_t length, const char* noun, const Place& place) {
  const auto count = static_cast<int64_t>(length);
  if (!place.rules.length || place.rules.length->contains(count)) return;
  const std::string wanted = place.rules.length->str();
  const bool one = wanted.ends_with(" 1");
  place.problem(node, "must have " + wanted + " " + noun + (one ? "" : "s") + ", got " + std::to_string(count));
}

}  // namespace

void read_scalar(const Node& node, bool& value, const Place& place) {
  if (!expect_plain(node, place, "true or false")) return;
  if (node.text != "true" && node.text != "false") {
    place.problem(node, "got " + in_quotes(node.text) + ", expected true or false");
    return;
  }
  value = node.text == "true";
}

void read_scalar(const Node& node, int64_t& value, const Place& place) { read_number(node, value, place, "an integer"); }

void read_scalar(const Node& node, double& value, const Place& place) { read_number(node, value, place, "a number"); }

void read_scalar(const Node& node, std::string& value, const Place& place) {
  if (node.kind != NodeKind::scalar) {
    place.problem(node, "got " + describe(node) + ", expected a text");
    return;
  }
  check_length(node, node.text.size(), "character", place);
  value = node.text;
}

void read_scalar(const Node& node, std::filesystem::path& value, const Place& place) {
  if (node.kind != NodeKind::scalar) {
    place.problem(node, "got " + describe(node) + ", expected a path");
    return;
  }
  check_length(node, node.text.size(), "character", place);
  value = node.text;
}

int64_t read_enum(const Node& node, std::span<const std::string> names, const Place& place) {
  if (node.kind == NodeKind::scalar) {
    const auto found = std::find(names.begin(), names.end(), node.text);
    if (found != names.end()) return found - names.begin();
  }
  place.problem(node, "got " + describe(node) + ", expected " + alternatives(names));
  return -1;
}

int64_t find_word(const Node& node, std::span<const std::string> names) {
  if (node.kind != NodeKind::scalar || node.quoted) return -1;
  const auto place = std::find(names.begin(), names.end(), node.text);
  return place == names.end() ? -1 : place - names.begin();
}

void add_with_words(const Problems& found, std::span<const std::string> names, const Place& place) {
  for (const auto& problem : found.list()) {
    const bool own = problem.path == place.path;
    place.problems.add(problem.mark, problem.path, problem.what + (own ? ", or " + join(names, ", ") : ""));
  }
}

bool expect_list(const Node& node, const Place& place) {
  if (node.kind != NodeKind::list) {
    const std::string hint =
        node.kind == NodeKind::scalar && node.text.size() <= 40 ? " such as [" + to_flow_yaml(node) + "]" : "";
    place.problem(node, "got " + describe(node) + ", expected a list" + hint);
    return false;
  }
  check_length(node, node.items.size(), "item", place);
  return true;
}

bool expect_map(const Node& node, const Place& place) {
  if (node.kind != NodeKind::map) {
    place.problem(node, "got " + describe(node) + ", expected a map of settings");
    return false;
  }
  check_length(node, node.entries.size(), "entry", place);
  return true;
}

void find_duplicates(const Node& node, const std::string& path, Problems& problems) {
  for (size_t i = 0; i < node.items.size(); ++i) {
    find_duplicates(node.items[i], path + "[" + std::to_string(i) + "]", problems);
  }
  std::unordered_map<std::string_view, const Node*> first;
  for (const auto& [key, value] : node.entries) {
    const auto [place, fresh] = first.emplace(key, &value);
    if (!fresh) {
      const std::string where = short_place(place->second->mark);
      problems.add(value.mark, child_path(path, key), "given twice" + (where.empty() ? "" : ", first on " + where));
    }
    find_duplicates(value, child_path(path, key), problems);
  }
}

Reader::Reader(const Node& node, std::string path, Problems& problems, const Range* outer, std::string_view handled)
    : node_(node), path_(std::move(path)), problems_(problems), outer_(outer), has_handled_(!handled.empty()) {
  if (has_handled_) known_.emplace_back(handled);
}

const Node* Reader::take(std::string_view name, const Rules& rules) {
  if (std::find(known_.begin(), known_.end(), name) != known_.end()) {
    throw UsageError("a config struct lists the field '" + std::string(name) + "' twice (in '" + path_ + "')");
  }
  known_.emplace_back(name);
  const Node* value = node_.find(name);
  if (value != nullptr) problems_.know(child_path(path_, name));
  if (value == nullptr && rules.required) problems_.add(node_.mark, child_path(path_, name), "missing, and it has no default");
  return value;
}

void Reader::finish() {
  for (const auto& entry : node_.entries) {
    const std::string& key = entry.first;
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    std::string hint = did_you_mean(key, known_);
    const bool stray = hint.empty();
    if (stray) hint = known_.empty() ? ", there is nothing to set here" : ", expected one of " + join(known_, ", ");
    if (has_handled_ && node_.find(known_.front()) == nullptr) hint += " ('" + known_.front() + "' is left to its default)";
    if (stray) {
      problems_.add_stray(entry.second.mark, child_path(path_, key), key, "unknown key" + hint);
    } else {
      problems_.add(entry.second.mark, child_path(path_, key), "unknown key" + hint);
    }
  }
}

}  // namespace elbo::detail
