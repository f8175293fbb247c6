#include "elbo/config/dump.h"

#include "elbo/base/error.h"
#include "elbo/config/scalar.h"
#include "elbo/config/yaml.h"

namespace elbo::detail {

Node dump_scalar(bool value) { return scalar_node(value ? "true" : "false"); }

Node dump_scalar(int64_t value) { return scalar_node(std::to_string(value)); }

Node dump_scalar(double value) { return scalar_node(shortest(value)); }

Node dump_scalar(const std::string& value) { return scalar_node(value, looks_special(value)); }

Node dump_scalar(const std::filesystem::path& value) { return dump_scalar(value.string()); }

std::string enum_name_or_throw(std::span<const std::string> names, int64_t index) {
  if (index >= static_cast<int64_t>(names.size())) {
    throw UsageError("a config holds an enum value that its enum_names() doesn't list (known: " + join(names, ", ") + ")");
  }
  return names[static_cast<size_t>(index)];
}

std::string plural_type(const std::string& type) {
  if (type == "integer" || type == "number" || type == "text" || type == "path" || type == "section") return type + "s";
  return type;
}

void Describer::add(std::string_view name, std::string type, const Node& value, std::string_view doc, const Rules& rules,
                    bool section) {
  FieldDoc field{.name = child_path(prefix_, name), .type = std::move(type), .doc = std::string(doc), .required = rules.required};
  if (!rules.required && !section) field.default_text = to_flow_yaml(value);
  if (rules.range) field.range = rules.range->str();
  if (rules.length) field.range += (field.range.empty() ? "" : "; ") + ("length " + rules.length->str());
  docs.push_back(std::move(field));
}

}  // namespace elbo::detail
