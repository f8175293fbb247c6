#include "elbo/config/node.h"

#include "elbo/base/text.h"

namespace elbo {

std::string to_string(const Mark& mark) { return mark.line > 0 ? mark.file + ":" + std::to_string(mark.line) : mark.file; }

std::string short_place(const Mark& mark) { return mark.line > 0 ? "line " + std::to_string(mark.line) : mark.file; }

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, value] : entries) {
    if (name == key) return &value;
  }
  return nullptr;
}

Node* Node::find(std::string_view key) { return const_cast<Node*>(std::as_const(*this).find(key)); }

Node scalar_node(std::string text, bool quoted) {
  Node node;
  node.kind = NodeKind::scalar;
  node.text = std::move(text);
  node.quoted = quoted;
  return node;
}

Node list_node(std::vector<Node> items) {
  Node node;
  node.kind = NodeKind::list;
  node.items = std::move(items);
  return node;
}

Node map_node(std::vector<std::pair<std::string, Node>> entries) {
  Node node;
  node.kind = NodeKind::map;
  node.entries = std::move(entries);
  return node;
}

std::string describe(const Node& node) {
  switch (node.kind) {
    case NodeKind::null:
      return "nothing";
    case NodeKind::scalar:
      return in_quotes(node.text);
    case NodeKind::list:
      return "a list";
    case NodeKind::map:
      return "a map";
  }
  return "";
}

bool same_content(const Node& a, const Node& b) {
  if (a.kind != b.kind || a.text != b.text || a.items.size() != b.items.size() || a.entries.size() != b.entries.size())
    return false;
  for (size_t i = 0; i < a.items.size(); ++i) {
    if (!same_content(a.items[i], b.items[i])) return false;
  }
  for (size_t i = 0; i < a.entries.size(); ++i) {
    if (a.entries[i].first != b.entries[i].first || !same_content(a.entries[i].second, b.entries[i].second)) return false;
  }
  return true;
}

}  // namespace elbo
