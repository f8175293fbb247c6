#include "elbo/config/component.h"

#include <algorithm>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/reader.h"

namespace elbo {

std::vector<std::string> CatalogBase::names() const {
  std::vector<std::string> all;
  for (const auto& entry : entries_) all.push_back(entry.name);
  return all;
}

const CatalogEntry* CatalogBase::find(std::string_view name) const {
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), name,
                                      [](const CatalogEntry& entry, std::string_view key) { return entry.name < key; });
  return place != entries_.end() && place->name == name ? &*place : nullptr;
}

const CatalogEntry& CatalogBase::get(std::string_view name) const {
  const CatalogEntry* entry = find(name);
  if (entry == nullptr) throw UsageError(unknown(name));
  return *entry;
}

std::string CatalogBase::unknown(std::string_view name) const {
  const auto known = names();
  const auto near = nearest(name, known);
  return "unknown " + axis_ + " " + in_quotes(name) + (near ? ", did you mean '" + *near + "'? Known: " : ", expected one of ") +
         (known.empty() ? "none" : join(known, ", "));
}

std::vector<FieldDoc> CatalogBase::describe(std::string_view name) const { return get(name).defaults()->describe(); }

void CatalogBase::add_entry(CatalogEntry entry) {
  if (entry.name.empty()) throw UsageError("a component of the catalog '" + axis_ + "' has no name");
  if (find(entry.name) != nullptr) throw UsageError("the " + axis_ + " '" + entry.name + "' is in its catalog already");
  const auto place = std::lower_bound(entries_.begin(), entries_.end(), entry.name,
                                      [](const CatalogEntry& other, const std::string& key) { return other.name < key; });
  entries_.insert(place, std::move(entry));
}

ChoiceBase::ChoiceBase(const CatalogBase& catalog, const std::string& default_type)
    : catalog_(&catalog), absent_by_default_(default_type.empty()) {
  if (!default_type.empty()) set(default_type);
}

ChoiceBase::ChoiceBase(const ChoiceBase& other)
    : catalog_(other.catalog_),
      absent_by_default_(other.absent_by_default_),
      type_(other.type_),
      config_(other.config_ ? other.config_->clone() : nullptr),
      mark_(other.mark_) {}

ChoiceBase& ChoiceBase::operator=(const ChoiceBase& other) {
  ChoiceBase copy(other);
  return *this = std::move(copy);
}

std::string ChoiceBase::str() const {
  const std::string place = short_place(mark_);
  return catalog_->axis() + " '" + type_ + "'" + (place.empty() ? "" : " (" + place + ")");
}

void ChoiceBase::set(const std::string& type) {
  config_ = catalog_->get(type).defaults();
  type_ = type;
  mark_ = {};
}

void ChoiceBase::clear() {
  config_.reset();
  type_.clear();
  mark_ = {};
}

void ChoiceBase::set_config(const std::string& type, std::unique_ptr<detail::AnyConfig> config) {
  if (catalog_->get(type).defaults()->type() != config->type()) {
    throw UsageError("the config given for the " + catalog_->axis() + " '" + type + "' is of another component's type");
  }
  config_ = std::move(config);
  type_ = type;
  mark_ = {};
}

const detail::AnyConfig& ChoiceBase::config() const {
  if (!config_) throw UsageError("no " + catalog_->axis() + " is chosen, so none can be made");
  return *config_;
}

void ChoiceBase::read(const Node& node, const detail::Place& place) {
  // The field's own range is the outer one of the component; without one, a schedule inside a schedule keeps the outermost.
  const Range* outer = place.rules.range ? &*place.rules.range : place.rules.in_outer_range ? place.outer : nullptr;
  detail::Place inner{place.problems, place.path, place.rules, outer};
  const auto& shorthand = catalog_->shorthand();
  if (node.kind == NodeKind::null && absent_by_default_ && !place.rules.required) {
    clear();
  } else if (node.kind == NodeKind::map) {
    read_map(node, inner);
  } else if (node.kind == NodeKind::scalar && shorthand) {
    Node spelled = map_node({{"type", scalar_node(shorthand->type)}, {shorthand->field, node}});
    spelled.mark = spelled.entries[0].second.mark = node.mark;
    Problems found;
    read_map(spelled, {found, place.path, place.rules, outer});
    const std::string hidden = detail::child_path(place.path, shorthand->field);
    for (auto problem : found.list()) {
      if (problem.path == hidden) problem.path = place.path;
      place.problems.add(problem.mark, problem.path, problem.what);
    }
  } else {
    const auto names = catalog_->names();
    const bool named = node.kind == NodeKind::scalar && catalog_->find(node.text) != nullptr;
    const std::string example = named ? node.text : !type_.empty() ? type_ : names.empty() ? "…" : names.front();
    place.problem(node, "got " + describe(node) + ", expected " + (shorthand ? "a number or " : "") +
                            "a map such as {type: " + example + "}");
  }
}

void ChoiceBase::read_map(const Node& node, const detail::Place& place) {
  const Node* chosen = node.find("type");
  if (chosen == nullptr && !has_value()) {
    place.problem(node, "'type' is missing, expected one of " + join(catalog_->names(), ", "));
    return;
  }
  if (chosen != nullptr) {
    const std::string path = detail::child_path(place.path, "type");
    if (chosen->kind != NodeKind::scalar) {
      place.problems.add(chosen->mark, path, "got " + describe(*chosen) + ", expected one of " + join(catalog_->names(), ", "));
      return;
    }
    const CatalogEntry* entry = catalog_->find(chosen->text);
    if (entry == nullptr) {
      place.problems.add(chosen->mark, path, catalog_->unknown(chosen->text));
      return;
    }
    config_ = entry->defaults();
    type_ = entry->name;
  }
  mark_ = chosen != nullptr ? chosen->mark : node.mark;
  config_->read(node, place.path, place.problems, place.outer);
}

Node ChoiceBase::dump() const {
  if (!config_) return {};
  Node fields = config_->dump();
  if (const auto& shorthand = catalog_->shorthand(); shorthand && shorthand->type == type_ && fields.entries.size() == 1) {
    return std::move(fields.entries.front().second);
  }
  Node type = scalar_node(type_);
  type.comment = catalog_->get(type_).source;
  fields.entries.emplace(fields.entries.begin(), "type", std::move(type));
  return fields;
}

bool operator==(const ChoiceBase& a, const ChoiceBase& b) {
  return a.has_value() == b.has_value() && a.type() == b.type() && same_content(a.dump(), b.dump());
}

}  // namespace elbo
