#include "checkpoint_state.h"

#include <torch/version.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/json.h"
#include "elbo/base/version.h"
#include "elbo/data/kind_name.h"

namespace elbo::detail {
namespace {

constexpr int64_t kFormatVersion = 1;

constexpr size_t kMaxBytes = size_t{1} << 24;  // a table of ten thousand columns has a long description

/// Reads one member of an object with an error that says where it was looked for.
template <class T>
T member(const Json& object, const char* name, const std::string& file) {
  const auto found = object.find(name);
  if (found == object.end()) throw CheckpointError(file + ": '" + name + "' is missing");
  try {
    return found->get<T>();
  } catch (const nlohmann::json::exception&) {
    throw CheckpointError(file + ": '" + name + "' is " + found->dump() + ", which is of another type than expected");
  }
}

std::string name_of(ColumnKind kind) {
  for (const auto& [name, value] : enum_names(kind)) {
    if (value == kind) return std::string(name);
  }
  return "";
}

Json columns_json(const std::vector<Column>& columns) {
  Json json = Json::array();
  for (const auto& column : columns) {
    json.push_back({{"name", column.name},
                    {"kind", name_of(column.kind)},
                    {"classes", column.classes},
                    {"mean", column.mean},
                    {"scale", column.scale}});
  }
  return json;
}

/// The same for a member that older checkpoints lack.
template <class T>
T member_or(const Json& object, const char* name, T absent, const std::string& file) {
  return object.contains(name) ? member<T>(object, name, file) : absent;
}

/// Minus infinity stands for a value that was not finite; JSON has null for it.
Json history_json(const std::vector<double>& history) {
  Json json = Json::array();
  for (const double value : history) json.push_back(std::isfinite(value) ? Json(value) : Json(nullptr));
  return json;
}

std::vector<double> read_history(const Json& json, const std::string& file) {
  std::vector<double> history;
  for (const auto& value : json) {
    if (!value.is_number() && !value.is_null()) throw CheckpointError(file + ": 'history' holds " + value.dump());
    history.push_back(value.is_null() ? -std::numeric_limits<double>::infinity() : value.get<double>());
  }
  return history;
}

Json spec_json(const DataSpec& spec) {
  Json json = Json::object();
  for (const auto& [name, field] : spec) {
    json[name] = {{"shape", field.shape},
                  {"kind", static_cast<int64_t>(field.kind)},
                  {"kind_name", kind_name(field.kind)},
                  {"num_classes", field.num_classes},
                  {"levels", field.levels},
                  {"may_be_missing", field.may_be_missing}};
    if (field.kind == ValueKind::table) json[name]["columns"] = columns_json(field.columns);
  }
  return json;
}

std::vector<Column> read_columns(const Json& json, const Shape& shape, const std::string& file) {
  if (!json.is_array() || shape != Shape{static_cast<int64_t>(json.size())}) {
    throw CheckpointError(file + ": 'columns' of a table is no list of as many columns as its shape has");
  }
  std::vector<Column> columns;
  for (const auto& item : json) {
    if (!item.is_object()) throw CheckpointError(file + ": 'columns' holds " + item.dump() + ", expected objects");
    Column column{.name = member<std::string>(item, "name", file),
                  .classes = member<std::vector<std::string>>(item, "classes", file),
                  .mean = member<double>(item, "mean", file),
                  .scale = member<double>(item, "scale", file)};
    const auto kind = member<std::string>(item, "kind", file);
    const auto names = enum_names(ColumnKind{});
    const auto found = std::find_if(names.begin(), names.end(), [&](const auto& entry) { return entry.first == kind; });
    if (found == names.end()) throw CheckpointError(file + ": 'kind' of column '" + column.name + "' is '" + kind + "'");
    column.kind = found->second;
    columns.push_back(std::move(column));
  }
  return columns;
}

DataSpec read_spec(const Json& json, const std::string& file) {
  DataSpec spec;
  if (!json.is_object()) throw CheckpointError(file + ": 'data_spec' is " + json.dump() + ", expected an object");
  for (const auto& [name, field] : json.items()) {
    if (!field.is_object()) throw CheckpointError(file + ": 'data_spec." + name + "' is no object");
    const auto kind = member<int64_t>(field, "kind", file);
    if (kind < 0 || kind > static_cast<int64_t>(ValueKind::table))
      throw CheckpointError(file + ": 'kind' is " + std::to_string(kind));
    spec[name] = {.shape = member<Shape>(field, "shape", file),
                  .kind = static_cast<ValueKind>(kind),
                  .num_classes = member<int64_t>(field, "num_classes", file),
                  .levels = member<int64_t>(field, "levels", file),
                  .may_be_missing = field.contains("may_be_missing") && member<bool>(field, "may_be_missing", file)};
    if (spec[name].kind == ValueKind::table) {
      spec[name].columns = read_columns(member<Json>(field, "columns", file), spec[name].shape, file);
    }
  }
  return spec;
}

Json bases_json(const std::vector<BaseRecord>& bases) {
  Json json = Json::array();
  for (const auto& base : bases) {
    json.push_back({{"run", base.run},
                    {"checkpoint", base.checkpoint},
                    {"config_yaml", base.config_yaml},
                    {"weights_sha256", base.weights_sha256},
                    {"data_sha256", base.data_sha256},
                    {"data_spec", spec_json(base.data_spec)}});
  }
  return json;
}

std::vector<BaseRecord> read_bases(const Json& json, const std::string& file) {
  if (!json.is_array()) throw CheckpointError(file + ": 'bases' is " + json.dump() + ", expected a list");
  std::vector<BaseRecord> bases;
  for (const auto& item : json) {
    if (!item.is_object()) throw CheckpointError(file + ": 'bases' holds " + item.dump() + ", expected objects");
    bases.push_back({.run = member<std::string>(item, "run", file),
                     .checkpoint = member<std::string>(item, "checkpoint", file),
                     .config_yaml = member<std::string>(item, "config_yaml", file),
                     .weights_sha256 = member<std::string>(item, "weights_sha256", file),
                     .data_sha256 = member<std::string>(item, "data_sha256", file),
                     .data_spec = read_spec(member<Json>(item, "data_spec", file), file)});
  }
  return bases;
}

}  // namespace

std::string state_json(const CheckpointState& state) {
  Json json = {{"format_version", kFormatVersion},
               {"library_version", kVersion},
               {"torch_version", TORCH_VERSION},
               {"step", state.step},
               {"epoch", state.epoch},
               {"seed", state.seed},
               {"num_threads", state.num_threads},
               {"batch_size", state.batch_size},
               {"num_examples", state.num_examples},
               {"initialised", state.initialised},
               {"data_sha256", state.data_sha256},
               {"data_spec", spec_json(state.data_spec)},
               {"bases", bases_json(state.bases)},
               {"config_sha256", state.config_sha256},
               {"monitor", state.monitor},
               {"monitored", nullptr},
               {"best", nullptr},
               {"history", history_json(state.history)},
               {"measured", state.measured},
               {"evaluation_due", state.evaluation_due},
               {"skipped", state.skipped},
               {"skipped_in_a_row", state.skipped_in_a_row},
               {"logs",
                {{"metrics_bytes", state.logs.metrics_bytes},
                 {"events_file", state.logs.events_file},
                 {"events_bytes", state.logs.events_bytes}}}};
  if (state.monitored && std::isfinite(*state.monitored)) json["monitored"] = *state.monitored;
  if (state.best) json["best"] = {{"value", state.best->value}, {"step", state.best->step}};
  return json.dump(2) + "\n";
}

CheckpointState read_state(const std::filesystem::path& path) {
  const auto file = path.string();
  const auto json = parse_json<CheckpointError>(read_text(path, kMaxBytes), file);
  if (!json.is_object()) throw CheckpointError(file + ": expected an object");
  if (const auto version = member<int64_t>(json, "format_version", file); version != kFormatVersion) {
    throw CheckpointError(file + ": format version " + std::to_string(version) + ", this program reads version " +
                          std::to_string(kFormatVersion));
  }
  CheckpointState state;
  state.step = member<int64_t>(json, "step", file);
  state.epoch = member<int64_t>(json, "epoch", file);
  state.seed = member<uint64_t>(json, "seed", file);
  state.num_threads = member<int64_t>(json, "num_threads", file);
  state.batch_size = member<int64_t>(json, "batch_size", file);
  state.num_examples = member<int64_t>(json, "num_examples", file);
  state.initialised = member<bool>(json, "initialised", file);
  state.data_sha256 = member<std::string>(json, "data_sha256", file);
  state.data_spec = read_spec(member<Json>(json, "data_spec", file), file);
  state.bases = read_bases(member_or(json, "bases", Json::array(), file), file);
  state.config_sha256 = member<std::string>(json, "config_sha256", file);
  state.monitor = member<std::string>(json, "monitor", file);
  if (const auto value = member<Json>(json, "monitored", file); value.is_number()) state.monitored = value.get<double>();
  if (const auto best = member<Json>(json, "best", file); best.is_object()) {
    state.best = BestValue{member<double>(best, "value", file), member<int64_t>(best, "step", file)};
  }
  state.history = read_history(member_or(json, "history", Json::array(), file), file);
  state.measured = member_or(json, "measured", std::string(), file);
  state.evaluation_due = member_or(json, "evaluation_due", false, file);
  state.skipped = member_or(json, "skipped", int64_t{0}, file);
  state.skipped_in_a_row = member_or(json, "skipped_in_a_row", int64_t{0}, file);
  const auto logs = member<Json>(json, "logs", file);
  if (!logs.is_object()) throw CheckpointError(file + ": 'logs' is " + logs.dump() + ", expected an object");
  state.logs = {member<uint64_t>(logs, "metrics_bytes", file), member<std::string>(logs, "events_file", file),
                member<uint64_t>(logs, "events_bytes", file)};
  state.library_version = member<std::string>(json, "library_version", file);
  state.torch_version = member<std::string>(json, "torch_version", file);
  return state;
}

}  // namespace elbo::detail
