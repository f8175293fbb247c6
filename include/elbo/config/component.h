#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>
#include <vector>

#include "elbo/config/node.h"
#include "elbo/config/problems.h"
#include "elbo/config/range.h"

namespace elbo {

/// One field of a config as `elbo describe` and the generated reference show it.
struct FieldDoc {
  std::string name = {};  // dotted for the fields of a section
  std::string type = {};
  std::string default_text = {};  // as YAML; empty when required
  std::string range = {};
  std::string doc = {};
  bool required = false;
};

namespace detail {
struct Place;

/// A component's config whose type only its catalog entry knows.
class AnyConfig {
 public:
  virtual ~AnyConfig() = default;
  virtual std::unique_ptr<AnyConfig> clone() const = 0;
  virtual void read(const Node& map, const std::string& path, Problems& problems, const Range* outer) = 0;
  virtual Node dump() const = 0;
  virtual std::vector<FieldDoc> describe() const = 0;
  virtual const std::type_info& type() const = 0;
  virtual const void* address() const = 0;
};
}  // namespace detail

/// One line of a catalog.
struct CatalogEntry {
  std::string name = {};
  std::string source = {};
  std::function<std::unique_ptr<detail::AnyConfig>()> defaults = {};
};

/// What a catalog is to the reader, to `elbo list` and to `elbo describe`: names, sources and config fields, whatever it makes.
class CatalogBase {
 public:
  explicit CatalogBase(std::string axis) : axis_(std::move(axis)) {}
  virtual ~CatalogBase() = default;
  CatalogBase(const CatalogBase&) = default;
  CatalogBase& operator=(const CatalogBase&) = default;

  /// "encoder", "objective", …
  const std::string& axis() const { return axis_; }
  /// Sorted by name.
  const std::vector<CatalogEntry>& entries() const { return entries_; }
  std::vector<std::string> names() const;
  const CatalogEntry* find(std::string_view name) const;
  /// Throws: UsageError that lists the known names.
  const CatalogEntry& get(std::string_view name) const;
  /// "unknown objective 'iwea', did you mean 'iwae'? Known: elbo, iwae".
  std::string unknown(std::string_view name) const;
  /// The component's fields with their defaults. Throws: UsageError when the name is unknown.
  std::vector<FieldDoc> describe(std::string_view name) const;

  /// A plain scalar `0.5` stands for {type: TYPE, FIELD: 0.5} and is dumped as the scalar.
  struct Shorthand {
    std::string type = {};
    std::string field = {};
  };
  const std::optional<Shorthand>& shorthand() const { return shorthand_; }

 protected:
  void add_entry(CatalogEntry entry);
  std::optional<Shorthand> shorthand_ = {};

 private:
  std::string axis_;
  std::vector<CatalogEntry> entries_ = {};
};

/// A field that holds a component chosen by `type:` with its own config; Choice (choice.h) adds what it makes.
class ChoiceBase {
 public:
  virtual ~ChoiceBase() = default;

  const CatalogBase& catalog() const { return *catalog_; }
  /// False when the default is absence and the file leaves it so.
  bool has_value() const { return config_ != nullptr; }
  /// "" when absent.
  const std::string& type() const { return type_; }
  /// Where the file chose it, for errors such as "objective 'iwae' (line 12) needs …"; of a default: the empty mark.
  const Mark& mark() const { return mark_; }
  /// "objective 'iwae' (line 12)", or "objective 'iwae'" where no file chose it.
  std::string str() const;

  /// The chosen component's config if it is a C, else nullptr.
  template <class C>
  const C* config_as() const {
    return config_ && config_->type() == typeid(C) ? static_cast<const C*>(config_->address()) : nullptr;
  }
  /// Chooses a component with its default config. Throws: UsageError when the name is unknown.
  void set(const std::string& type);
  /// Absent; allowed whatever the default is.
  void clear();

  void read(const Node& node, const detail::Place& place);
  Node dump() const;

 protected:
  ChoiceBase(const CatalogBase& catalog, const std::string& default_type);
  ChoiceBase(const ChoiceBase& other);
  ChoiceBase& operator=(const ChoiceBase& other);
  ChoiceBase(ChoiceBase&&) = default;
  ChoiceBase& operator=(ChoiceBase&&) = default;

  void set_config(const std::string& type, std::unique_ptr<detail::AnyConfig> config);
  const detail::AnyConfig& config() const;  // throws UsageError when absent

 private:
  void read_map(const Node& node, const detail::Place& place);

  const CatalogBase* catalog_;
  bool absent_by_default_;
  std::string type_ = {};
  std::unique_ptr<detail::AnyConfig> config_ = {};
  Mark mark_ = {};
};

/// Same component, same resolved config; where it was written doesn't count.
bool operator==(const ChoiceBase& a, const ChoiceBase& b);

}  // namespace elbo
