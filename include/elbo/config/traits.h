#pragma once
#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <variant>
#include <vector>

#include "elbo/config/component.h"

namespace elbo {

namespace detail {
struct ProbeVisitor {
  template <class T, class... R>
  void operator()(std::string_view, T&, std::string_view, const R&...) {}
};

template <class T>
struct IsOptional : std::false_type {};
template <class T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <class T>
struct IsVector : std::false_type {};
template <class T>
struct IsVector<std::vector<T>> : std::true_type {};
template <class T>
struct IsMap : std::false_type {};
template <class T>
struct IsMap<std::map<std::string, T>> : std::true_type {
  using Value = T;
};

/// A word or a value: std::variant<E, T> with E an enum that has enum_names.
template <class T>
struct IsWordOr : std::false_type {};
template <class E, class T>
struct IsWordOr<std::variant<E, T>> : std::is_enum<E> {
  using Word = E;
  using Value = T;
};

template <class>
inline constexpr bool kNever = false;

/// The names of an enum in the order its enum_names(E) lists them, which is found by argument-dependent lookup.
template <class E>
std::vector<std::string> names_of_enum() {
  std::vector<std::string> names;
  for (const auto& [name, value] : enum_names(E{})) names.emplace_back(name);
  return names;
}
}  // namespace detail

/// A plain struct that lists its fields: `template <class F> void fields(F& field) { field("name", member, "doc", rules…); }`.
template <class T>
concept HasFields = requires(T& config, detail::ProbeVisitor& visitor) {
  config.fields(visitor);
};

/// The config of a component that has nothing to set.
struct NoConfig {
  template <class F>
  void fields(F&) {}
};

}  // namespace elbo
