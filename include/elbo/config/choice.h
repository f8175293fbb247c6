#pragma once
#include <concepts>
#include <memory>
#include <string>
#include <utility>

#include "elbo/config/catalog.h"

namespace elbo {

/// A config field that holds one component of a catalog with its config: `Choice<Network, const NetworkContext&>
/// encoder{encoders, "mlp"};`. In a file it is {type: mlp, hidden: [200]}; where `type` is left out the default type is meant.
/// Without a default the field may be absent (null). A field's Range is passed on to the component's fields that are marked
/// in_outer_range.
template <class Product, class... Args>
class Choice final : public ChoiceBase {
 public:
  using CatalogType = Catalog<Product, Args...>;

  explicit Choice(const CatalogType& catalog, const std::string& default_type = "") : ChoiceBase(catalog, default_type) {}
  /// The same with the function that returns the catalog.
  template <std::invocable Accessor>
  explicit Choice(Accessor accessor, const std::string& default_type = "") : Choice(accessor(), default_type) {}

  using ChoiceBase::set;
  /// Chooses from a program. Throws: UsageError when the name is unknown or its config is of another type.
  template <class Config>
  void set(const std::string& type, Config chosen) {
    set_config(type, std::make_unique<detail::ConfigOf<Config>>(std::move(chosen)));
  }

  /// Throws: UsageError when nothing is chosen, and whatever the component's maker throws.
  std::shared_ptr<Product> make(Args... args) const {
    return static_cast<const CatalogType&>(catalog()).make_from(type(), config(), std::forward<Args>(args)...);
  }
};

}  // namespace elbo
