#include "reference.h"

#include <algorithm>
#include <map>

#include "elbo/base/text.h"
#include "elbo/experiment/experiment.h"

namespace elbo {
namespace {

/// A sentence an axis.
std::string about(const std::string& axis) {
  static const std::map<std::string, std::string> sentences = {
      {"data", "The rows: `data:` of a config."},
      {"decoder", "From latents to the parameters of the likelihood: `model.decoder:`."},
      {"encoder", "From data to features: `model.encoder:`."},
      {"likelihood", "p(x given z): `model.likelihood:`."},
      {"metric", "What `elbo evaluate --metrics` and `evaluation.metrics:` name."},
      {"model", "`model:` of a config."},
      {"objective", "What is optimised: `objective:` of a config."},
      {"optimizer", "`optimizer:` of a config."},
      {"posterior", "q(z given x), from the encoder's features: `model.posterior:`."},
      {"prior", "p(z): `model.prior:`."},
      {"schedule",
       "A number that changes while training. Wherever a type says schedule, a plain number stands for `{type: constant, value: "
       "NUMBER}`."},
  };
  const auto found = sentences.find(axis);
  return found == sentences.end() ? "" : found->second + "\n";
}

std::string cell(std::string words) {
  for (size_t i = 0; (i = words.find('|', i)) != std::string::npos; i += 2) words.insert(i, "\\");
  return words;
}

std::string code(const std::string& words) { return words.empty() ? "" : "`" + cell(words) + "`"; }

std::string type_of(const FieldDoc& field) {
  const auto& catalogs = all_catalogs();
  const bool axis =
      std::any_of(catalogs.begin(), catalogs.end(), [&](const CatalogBase* catalog) { return catalog->axis() == field.type; });
  return axis ? "[" + field.type + "](#" + field.type + ")" : cell(field.type);
}

std::string table(const std::vector<FieldDoc>& fields, const std::string& first) {
  if (fields.empty()) return "It has no options.\n";
  std::string out = "| " + first + " | type | default | range | meaning |\n|---|---|---|---|---|\n";
  for (const auto& field : fields) {
    out += "| " + code(field.name) + " | " + type_of(field) + " | " + (field.required ? "required" : code(field.default_text)) +
           " | " + cell(field.range) + " | " + cell(field.doc) + " |\n";
  }
  return out;
}

std::vector<FieldDoc> top_level() {
  auto fields = describe_config<ExperimentConfig>();
  std::erase_if(fields, [](const FieldDoc& field) { return field.name.find('.') != std::string::npos; });
  return fields;
}

}  // namespace

const std::vector<ConfigSection>& config_sections() {
  static const std::vector<ConfigSection> sections = {
      {"config", "the keys of a config file", top_level()},
      {"evaluation", "what is measured while training, and by elbo evaluate unless told otherwise",
       describe_config<EvaluationConfig>()},
      {"training", "the training loop", describe_config<TrainingConfig>()},
  };
  return sections;
}

std::string reference_markdown() {
  std::string out =
      "# Reference\n\nEvery key of a config and every component with its options, defaults, ranges and source. Written by\n"
      "`elbo list --markdown > docs/reference.md`; a test compares. In a terminal: `elbo list`, `elbo describe AXIS/NAME`.\n\n"
      "Axes: ";
  std::vector<std::string> links;
  for (const auto* catalog : all_catalogs()) links.push_back("[" + catalog->axis() + "](#" + catalog->axis() + ")");
  out += join(links, ", ") + ".\n";
  for (const auto& section : config_sections()) {
    out += "\n## Section " + section.name + "\n\n" + section.about + "\n\n" + table(section.fields, "key");
  }
  for (const auto* catalog : all_catalogs()) {
    out += "\n## " + catalog->axis() + "\n\n" + about(catalog->axis());
    for (const auto& entry : catalog->entries()) {
      out += "\n### " + catalog->axis() + " `" + entry.name + "`\n\n" + entry.source + "\n\n" +
             table(catalog->describe(entry.name), "option");
    }
  }
  return out;
}

}  // namespace elbo
