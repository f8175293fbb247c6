#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "elbo/config/component.h"
#include "elbo/config/dump.h"
#include "elbo/config/reader.h"

namespace elbo {

namespace detail {
template <class C>
class ConfigOf final : public AnyConfig {
 public:
  ConfigOf() = default;
  explicit ConfigOf(C initial) : value(std::move(initial)) {}

  std::unique_ptr<AnyConfig> clone() const override { return std::make_unique<ConfigOf>(*this); }
  void read(const Node& map, const std::string& path, Problems& problems, const Range* outer) override {
    read_struct(map, value, path, problems, outer, "type");
  }
  Node dump() const override { return dump_config(value); }
  std::vector<FieldDoc> describe() const override { return describe_config(value); }
  const std::type_info& type() const override { return typeid(C); }
  const void* address() const override { return &value; }

  C value = {};
};
}  // namespace detail

/// An explicit table of the components of one axis, behind a function:
///   Catalog<Network, const NetworkContext&>& encoders() {
///     static Catalog<Network, const NetworkContext&> catalog = Catalog<Network, const NetworkContext&>("encoder")
///         .add("conv", "…", make_conv)
///         .add("mlp", "…", make_mlp);
///     return catalog;
///   }
/// Each is made from its own config struct and the arguments that all of the axis share (usually one const Context&).
template <class Product, class... Args>
class Catalog final : public CatalogBase {
 public:
  using CatalogBase::CatalogBase;

  /// One line a component: name, the paper or the origin, the function that makes it. Throws: UsageError when the name is taken.
  template <class Config, class Result>
  requires std::is_convertible_v<Result, std::shared_ptr<Product>> Catalog& add(std::string name, std::string source,
                                                                                Result (*maker)(const Config&, Args...)) {
    return add<Config>(std::move(name), std::move(source), Maker<Config>(maker));
  }

  template <class Config>
  using Maker = std::function<std::shared_ptr<Product>(const Config&, Args...)>;

  /// The same for a callable: `add<MlpConfig>("mlp", "…", [](const MlpConfig& config, const Context& context) {…})`.
  template <class Config>
  Catalog& add(std::string name, std::string source, Maker<Config> maker) {
    add_entry({name, std::move(source), [] { return std::make_unique<detail::ConfigOf<Config>>(); }});
    makers_[std::move(name)] = [maker = std::move(maker)](const detail::AnyConfig& config, Args... args) {
      return maker(*static_cast<const Config*>(config.address()), std::forward<Args>(args)...);
    };
    return *this;
  }

  /// Lets a plain scalar in a file stand for {type: TYPE, FIELD: scalar}.
  Catalog& shorthand(std::string type, std::string field) {
    get(type);
    shorthand_ = Shorthand{std::move(type), std::move(field)};
    return *this;
  }
  using CatalogBase::shorthand;

  /// The component with its default config. Throws: UsageError when the name is unknown.
  std::shared_ptr<Product> make(std::string_view name, Args... args) const {
    const auto defaults = get(name).defaults();
    return make_from(std::string(name), *defaults, std::forward<Args>(args)...);
  }

  /// For Choice. The config must be the entry's own.
  std::shared_ptr<Product> make_from(const std::string& name, const detail::AnyConfig& config, Args... args) const {
    return makers_.at(name)(config, std::forward<Args>(args)...);
  }

 private:
  std::map<std::string, std::function<std::shared_ptr<Product>(const detail::AnyConfig&, Args...)>> makers_ = {};
};

}  // namespace elbo
