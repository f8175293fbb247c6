#include <algorithm>
#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/json.h"
#include "elbo/base/table.h"
#include "elbo/base/text.h"
#include "reference.h"

namespace elbo {
namespace {

const CatalogBase& catalog_named(const std::string& axis) {
  std::vector<std::string> axes, components;
  for (const auto* catalog : all_catalogs()) {
    if (catalog->axis() == axis) return *catalog;
    axes.push_back(catalog->axis());
    const auto names = catalog->names();
    if (std::find(names.begin(), names.end(), axis) != names.end()) components.push_back(catalog->axis() + "/" + axis);
  }
  if (!components.empty()) throw UsageError("no axis " + in_quotes(axis) + "; there is " + join(components, ", "));
  throw UsageError("no axis " + in_quotes(axis) + did_you_mean(axis, axes, "axes are " + join(axes, ", ")));
}

Json to_json(const FieldDoc& field) {
  return Json{{"name", field.name},   {"type", field.type}, {"default", field.default_text},
              {"range", field.range}, {"doc", field.doc},   {"required", field.required}};
}

/// A list of sections would make the table wider than any screen; elbo config prints defaults whole.
std::string default_for_reading(const FieldDoc& field) {
  constexpr size_t kMost = 60;
  if (field.required) return "(required)";
  return field.default_text.size() > kMost ? field.default_text.substr(0, kMost) + "…" : field.default_text;
}

std::string options_table(const std::vector<FieldDoc>& fields, const std::string& first) {
  Table table({{.title = first}, {.title = "type"}, {.title = "default"}, {.title = "range"}, {.title = "meaning"}});
  for (const auto& field : fields) {
    table.row({field.name, field.type, default_for_reading(field), field.range, field.doc});
  }
  return table.str();
}

}  // namespace

int run_list(const std::vector<std::string>& words) {
  CommandLine line("list", "Lists the components of every axis, or of one: what may stand after `type:`.", "[AXIS]",
                   {"elbo list", "elbo list objective", "elbo list --json"});
  line.add()("json", "one JSON object: axis -> [{name, source, options}]");
  line.add()("markdown", "the whole reference, as in docs/reference.md");
  if (!line.parse(words, 0, 1)) return 0;
  if (line.has("markdown")) {
    std::cout << reference_markdown();
    return 0;
  }
  std::vector<const CatalogBase*> catalogs = all_catalogs();
  if (!line.positional().empty()) catalogs = {&catalog_named(line.positional()[0])};
  if (line.has("json")) {
    Json all = Json::object();
    for (const auto* catalog : catalogs) {
      auto& list = all[catalog->axis()] = Json::array();
      for (const auto& entry : catalog->entries()) {
        Json options = Json::array();
        for (const auto& field : catalog->describe(entry.name)) options.push_back(to_json(field));
        list.push_back({{"name", entry.name}, {"source", entry.source}, {"options", options}});
      }
    }
    std::cout << all.dump(2) << "\n";
    return 0;
  }
  Table table({{.title = "axis"}, {.title = "name"}, {.title = "source"}});
  for (const auto* catalog : catalogs) {
    for (const auto& entry : catalog->entries()) table.row({catalog->axis(), entry.name, entry.source});
  }
  std::cout << table.str() << "\nelbo describe AXIS/NAME tells the options of one.\n";
  return 0;
}

int run_describe(const std::vector<std::string>& words) {
  CommandLine line("describe", "Explains one component: its source, options, ranges and defaults; or a section of the config.",
                   "AXIS/NAME", {"elbo describe objective/iwae", "elbo describe schedule/cosine", "elbo describe training"});
  if (!line.parse(words, 1, 1)) return 0;
  const auto parts = split(line.positional()[0], '/');
  for (const auto& section : config_sections()) {
    if (parts.size() != 1 || section.name != parts[0]) continue;
    std::cout << section.name << ": " << section.about << "\n\n" << options_table(section.fields, "key");
    return 0;
  }
  if (parts.size() == 1) {
    const auto& catalog = catalog_named(parts[0]);
    throw UsageError("got " + in_quotes(parts[0]) + ", expected AXIS/NAME: " + parts[0] + "/ and one of " +
                     join(catalog.names(), ", "));
  }
  if (parts.size() != 2)
    throw UsageError("got " + in_quotes(line.positional()[0]) + ", expected AXIS/NAME such as objective/iwae");
  const auto& catalog = catalog_named(parts[0]);
  const auto& entry = catalog.get(parts[1]);
  std::cout << catalog.axis() << " " << entry.name << ": " << entry.source << "\n\n";
  const auto fields = catalog.describe(entry.name);
  std::cout << (fields.empty() ? "It has no options.\n" : options_table(fields, "option"));
  if (const auto& shorthand = catalog.shorthand(); shorthand && shorthand->type == entry.name)
    std::cout << "\nA plain number stands for {type: " << shorthand->type << ", " << shorthand->field << ": NUMBER}.\n";
  return 0;
}

}  // namespace elbo
