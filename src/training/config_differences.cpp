#include <algorithm>
#include <array>

#include "elbo/base/text.h"
#include "elbo/training/run_folder.h"

namespace elbo {
namespace {

/// What may change when a run is continued: none of it decides the weights at a given step.
constexpr std::array<std::string_view, 6> kFree = {"training.epochs",     "training.steps",          "training.log_every_steps",
                                                   "training.checkpoint", "training.early_stopping", "evaluation"};

bool is_below(const std::string& path, std::string_view section) {
  return path == section || (path.starts_with(section) && path[section.size()] == '.');
}

using Leaves = std::vector<std::pair<std::string, std::string>>;

void collect(const Node& node, const std::string& path, Leaves& leaves) {
  switch (node.kind) {
    case NodeKind::map:
      for (const auto& [key, value] : node.entries) collect(value, path.empty() ? key : path + "." + key, leaves);
      if (node.entries.empty()) leaves.emplace_back(path, "{}");
      break;
    case NodeKind::list: {
      const bool flat = std::all_of(node.items.begin(), node.items.end(), [](const Node& item) {
        return item.kind == NodeKind::scalar || item.kind == NodeKind::null;
      });
      if (!flat) {
        for (size_t i = 0; i < node.items.size(); ++i) collect(node.items[i], path + "[" + std::to_string(i) + "]", leaves);
        break;
      }
      std::vector<std::string> items;
      for (const auto& item : node.items) items.push_back(item.kind == NodeKind::null ? "null" : item.text);
      leaves.emplace_back(path, "[" + join(items, ", ") + "]");
      break;
    }
    case NodeKind::scalar:
      leaves.emplace_back(path, node.text);
      break;
    case NodeKind::null:
      leaves.emplace_back(path, "null");
      break;
  }
}

const std::string* find(const Leaves& leaves, const std::string& path) {
  const auto found = std::find_if(leaves.begin(), leaves.end(), [&](const auto& leaf) { return leaf.first == path; });
  return found == leaves.end() ? nullptr : &found->second;
}

}  // namespace

bool follows_evaluation(const Node& config) {
  if (const auto* type = config.find("type"); type && type->text == "plateau") return true;
  return std::any_of(config.items.begin(), config.items.end(), follows_evaluation) ||
         std::any_of(config.entries.begin(), config.entries.end(),
                     [](const auto& entry) { return follows_evaluation(entry.second); });
}

std::vector<std::string> config_differences(const Node& before, const Node& now) {
  Leaves old_leaves, new_leaves;
  collect(before, "", old_leaves);
  collect(now, "", new_leaves);
  const bool evaluation_is_free = !follows_evaluation(before);  // else when and how it measures decides the weights
  const auto is_free = [&](const std::string& path) {
    return std::any_of(kFree.begin(), kFree.end(), [&](std::string_view section) {
      return is_below(path, section) && (section != "evaluation" || evaluation_is_free);
    });
  };
  std::vector<std::string> differences;
  for (const auto& [path, value] : old_leaves) {
    const auto* other = find(new_leaves, path);
    if (is_free(path) || (other && *other == value)) continue;
    differences.push_back(path + ": " + value + ", now " + (other ? *other : "absent"));
  }
  for (const auto& [path, value] : new_leaves) {
    if (!is_free(path) && !find(old_leaves, path)) differences.push_back(path + ": absent, now " + value);
  }
  return differences;
}

}  // namespace elbo
