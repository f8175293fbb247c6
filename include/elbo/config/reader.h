#pragma once
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/config/problems.h"
#include "elbo/config/range.h"
#include "elbo/config/traits.h"

namespace elbo {

namespace detail {

/// Where a value goes: its path for the report, the rules of its field, and the range that the choosing field stated, if any.
struct Place {
  Problems& problems;
  std::string path;
  const Rules& rules;
  const Range* outer = nullptr;

  void problem(const Node& node, std::string what) const { problems.add(node.mark, path, std::move(what)); }
  Place child(std::string child_of_path) const { return {problems, std::move(child_of_path), rules, outer}; }
};

void read_scalar(const Node& node, bool& value, const Place& place);
void read_scalar(const Node& node, int64_t& value, const Place& place);
void read_scalar(const Node& node, double& value, const Place& place);
void read_scalar(const Node& node, std::string& value, const Place& place);
void read_scalar(const Node& node, std::filesystem::path& value, const Place& place);
/// The index in `names`, or -1 after reporting.
int64_t read_enum(const Node& node, std::span<const std::string> names, const Place& place);
/// The index in `names` of a plain scalar that is one of them, else -1 without a report.
int64_t find_word(const Node& node, std::span<const std::string> names);
/// Takes over what was found wrong with the value of a field that takes words too.
void add_with_words(const Problems& found, std::span<const std::string> names, const Place& place);
/// Report and return false when the node is something else; check the length rule.
bool expect_list(const Node& node, const Place& place);
bool expect_map(const Node& node, const Place& place);
/// Every key written twice, anywhere in the tree.
void find_duplicates(const Node& node, const std::string& path, Problems& problems);

/// Tells the report the fields of a section or component that the file leaves to its default.
struct Knower {
  Problems& problems;
  std::string path;

  template <class T, class... R>
  void operator()(std::string_view name, T& member, std::string_view, const R&...) {
    know(child_path(path, name), member);
  }
  template <class T>
  void know(const std::string& place, T& member) {
    problems.know(place);
    if constexpr (std::is_base_of_v<ChoiceBase, T>) {
      if (!member.has_value()) return;
      for (const auto& field : member.catalog().describe(member.type())) problems.know(place + "." + field.name);
    } else if constexpr (HasFields<T>) {
      Knower inner{problems, place};
      member.fields(inner);
    }
  }
};

/// The visitor that fills one struct from one map.
class Reader {
 public:
  /// `handled` is a key that the caller reads itself ("type" of a component).
  Reader(const Node& node, std::string path, Problems& problems, const Range* outer, std::string_view handled);

  template <class T, class... R>
  void operator()(std::string_view name, T& member, std::string_view, const R&... r);

  /// Reports the keys that no field took.
  void finish();

 private:
  const Node* take(std::string_view name, const Rules& rules);

  const Node& node_;
  std::string path_;
  Problems& problems_;
  const Range* outer_;
  std::vector<std::string> known_ = {};
  bool has_handled_;
};

template <class C>
void read_struct(const Node& node, C& config, const std::string& path, Problems& problems, const Range* outer,
                 std::string_view handled = {}) {
  const size_t before = problems.size();
  Reader reader(node, path, problems, outer, handled);
  config.fields(reader);
  reader.finish();
  if constexpr (requires(Relations & relations) { config.check(relations); }) {
    if (problems.size() > before) return;  // relations between values that weren't read would only mislead
    Relations relations(node, path, problems);
    config.check(relations);
  }
}

template <class T>
void read_value(const Node& node, T& value, const Place& place) {
  if constexpr (std::is_base_of_v<ChoiceBase, T>) {
    value.read(node, place);
  } else if constexpr (HasFields<T>) {
    if (expect_map(node, place)) read_struct(node, value, place.path, place.problems, place.outer);
  } else if constexpr (std::is_enum_v<T>) {
    const auto index = read_enum(node, names_of_enum<T>(), place);
    if (index >= 0) value = enum_names(T{})[static_cast<size_t>(index)].second;
  } else if constexpr (IsOptional<T>::value) {
    if (node.kind == NodeKind::null) {
      value.reset();
    } else {
      read_value(node, value.emplace(), place);
    }
  } else if constexpr (IsWordOr<T>::value) {
    const auto words = names_of_enum<typename IsWordOr<T>::Word>();
    if (const auto index = find_word(node, words); index >= 0) {
      value = enum_names(typename IsWordOr<T>::Word{})[static_cast<size_t>(index)].second;
      return;
    }
    Problems found;
    typename IsWordOr<T>::Value other{};
    read_value(node, other, Place{found, place.path, place.rules, place.outer});
    add_with_words(found, words, place);
    if (found.empty()) value = std::move(other);
  } else if constexpr (IsVector<T>::value) {
    if (!expect_list(node, place)) return;
    value.clear();
    for (size_t i = 0; i < node.items.size(); ++i) {
      typename T::value_type item{};
      read_value(node.items[i], item, place.child(place.path + "[" + std::to_string(i) + "]"));
      value.push_back(std::move(item));
    }
  } else if constexpr (IsMap<T>::value) {
    if (!expect_map(node, place)) return;
    value.clear();
    for (const auto& [key, item] : node.entries) {
      typename T::mapped_type mapped{};
      read_value(item, mapped, place.child(child_path(place.path, key)));
      value.insert_or_assign(key, std::move(mapped));
    }
  } else if constexpr (requires { read_scalar(node, value, place); }) {
    read_scalar(node, value, place);
  } else {
    static_assert(
        kNever<T>,
        "a config field is bool, int64_t, double, std::string, std::filesystem::path, an enum with enum_names, a struct "
        "with fields(), a Choice, or a std::vector, std::optional or std::map<std::string, …> of those");
  }
}

template <class T, class... R>
void Reader::operator()(std::string_view name, T& member, std::string_view, const R&... r) {
  const Rules rules = rules_of(r...);
  if (const Node* value = take(name, rules)) {
    read_value(*value, member, Place{problems_, child_path(path_, name), rules, outer_});
  } else {
    Knower{problems_, path_}.know(child_path(path_, name), member);
  }
}

}  // namespace detail

/// Reads the whole tree into a C, over its defaults. `root_path` prefixes the paths of the report.
/// Throws: one ConfigError with every problem: unknown and repeated keys, wrong types, ranges, missing fields, unknown types,
/// check().
template <HasFields C>
C read_config(const Node& root, const std::string& root_path = "") {
  Problems problems;
  C config{};
  const Rules rules;
  const Node empty = [&root] {
    Node node = map_node();
    node.mark = root.mark;
    return node;
  }();
  detail::find_duplicates(root, root_path, problems);
  detail::read_value(root.kind == NodeKind::null ? empty : root, config, detail::Place{problems, root_path, rules});
  problems.throw_if_any();
  return config;
}

}  // namespace elbo
