#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/base/text.h"
#include "elbo/config/reader.h"

namespace elbo {

namespace detail {

Node dump_scalar(bool value);
Node dump_scalar(int64_t value);
Node dump_scalar(double value);
Node dump_scalar(const std::string& value);
Node dump_scalar(const std::filesystem::path& value);
std::string enum_name_or_throw(std::span<const std::string> names, int64_t index);

class Dumper {
 public:
  Node node = map_node();

  template <class T, class... R>
  void operator()(std::string_view name, T& member, std::string_view doc, const R&...);
};

template <class T>
Node dump_value(const T& value) {
  if constexpr (std::is_base_of_v<ChoiceBase, T>) {
    return value.dump();
  } else if constexpr (HasFields<T>) {
    Dumper dumper;
    const_cast<T&>(value).fields(dumper);  // one fields() serves readers and writers; the Dumper only reads
    return std::move(dumper.node);
  } else if constexpr (std::is_enum_v<T>) {
    int64_t index = 0;
    for (const auto& [name, candidate] : enum_names(T{})) {
      if (candidate == value) break;
      ++index;
    }
    return dump_scalar(enum_name_or_throw(names_of_enum<T>(), index));
  } else if constexpr (IsOptional<T>::value) {
    return value ? dump_value(*value) : Node{};
  } else if constexpr (IsWordOr<T>::value) {
    return std::visit([](const auto& held) { return dump_value(held); }, value);
  } else if constexpr (IsVector<T>::value) {
    Node list = list_node();
    for (const typename T::value_type& item : value) list.items.push_back(dump_value(item));
    return list;
  } else if constexpr (IsMap<T>::value) {
    Node map = map_node();
    for (const auto& [key, item] : value) map.entries.emplace_back(key, dump_value(item));
    return map;
  } else {
    return dump_scalar(value);
  }
}

template <class T, class... R>
void Dumper::operator()(std::string_view name, T& member, std::string_view doc, const R&...) {
  auto& [key, entry] = node.entries.emplace_back();  // made in place: GCC 12 sees a moved string overflow
  key = name;
  entry = dump_value(member);
  entry.comment = doc;
}

std::string plural_type(const std::string& type);

/// The words of the reference: "integer", "list of numbers", "standard, stl or dreg", …
template <class T>
std::string type_text(const T& value) {
  if constexpr (std::is_base_of_v<ChoiceBase, T>) {
    return value.catalog().axis();
  } else if constexpr (HasFields<T>) {
    return "section";
  } else if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_same_v<T, int64_t>) {
    return "integer";
  } else if constexpr (std::is_same_v<T, double>) {
    return "number";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "text";
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return "path";
  } else if constexpr (std::is_enum_v<T>) {
    return alternatives(names_of_enum<T>());
  } else if constexpr (IsOptional<T>::value) {
    return type_text(typename T::value_type{}) + " or null";
  } else if constexpr (IsWordOr<T>::value) {
    return type_text(typename IsWordOr<T>::Value{}) + ", or " + type_text(typename IsWordOr<T>::Word{});
  } else if constexpr (IsVector<T>::value) {
    return "list of " + plural_type(type_text(typename T::value_type{}));
  } else {
    return "map of name to " + type_text(typename T::mapped_type{});
  }
}

class Describer {
 public:
  explicit Describer(std::string prefix) : prefix_(std::move(prefix)) {}
  std::vector<FieldDoc> docs = {};

  template <class T, class... R>
  void operator()(std::string_view name, T& member, std::string_view doc, const R&... r) {
    constexpr bool is_choice = std::is_base_of_v<ChoiceBase, T>;
    constexpr bool is_section = HasFields<T> && !is_choice;
    Node value = is_section ? Node{} : dump_value(member);
    if (is_choice && value.kind == NodeKind::map)
      value.entries.resize(1);  // its type; its own fields are described under its name
    add(name, type_text(member), value, doc, rules_of(r...), is_section);
    if constexpr (is_section) {
      Describer inner(child_path(prefix_, name));
      member.fields(inner);
      docs.insert(docs.end(), inner.docs.begin(), inner.docs.end());
    } else if constexpr (IsMap<T>::value) {
      if constexpr (HasFields<typename IsMap<T>::Value> && !std::is_base_of_v<ChoiceBase, typename IsMap<T>::Value>) {
        Describer inner(child_path(prefix_, name) + ".NAME");
        typename IsMap<T>::Value section{};
        section.fields(inner);
        docs.insert(docs.end(), inner.docs.begin(), inner.docs.end());
      }
    }
  }

 private:
  void add(std::string_view name, std::string type, const Node& value, std::string_view doc, const Rules& rules, bool section);

  std::string prefix_;
};

}  // namespace detail

/// The resolved config, every default filled, each key with its doc line as comment; read_config(dump_config(c)) is c.
template <HasFields C>
Node dump_config(const C& config) {
  return detail::dump_value(config);
}

/// Two configs are the same when they resolve to the same text.
template <HasFields C>
bool same_config(const C& a, const C& b) {
  return same_content(dump_config(a), dump_config(b));
}

/// Holds a config that a program filled to the rules of a file. Throws: ConfigError with every problem.
template <HasFields C>
void validate_config(const C& config) {
  read_config<C>(dump_config(config));
}

/// The fields in order with their defaults; a section's own line comes before its fields.
template <HasFields C>
std::vector<FieldDoc> describe_config(const C& defaults = C{}) {
  detail::Describer describer("");
  const_cast<C&>(defaults).fields(describer);
  return std::move(describer.docs);
}

}  // namespace elbo
