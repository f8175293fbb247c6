#include <algorithm>
#include <array>
#include <cstdio>

#include "elbo/config/scalar.h"
#include "elbo/config/yaml.h"

namespace elbo {

namespace {

bool is_word_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' || c == '.' ||
         c == '/' || c == '+';
}

/// Plain in every context of YAML. A dash in front of anything but a number would start a list item.
bool can_stand_plain(std::string_view raw) {
  if (raw.empty() || !std::all_of(raw.begin(), raw.end(), is_word_character)) return false;
  return raw[0] != '-' || (raw.size() > 1 && (raw[1] == '.' || (raw[1] >= '0' && raw[1] <= '9')));
}

std::string in_double_quotes(std::string_view raw) {
  std::string out = "\"";
  for (const char c : raw) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\t') {
      out += "\\t";
    } else if (byte < 0x20 || byte == 0x7F) {
      std::array<char, 8> escaped{};
      std::snprintf(escaped.data(), escaped.size(), "\\x%02x", byte);
      out += escaped.data();
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string scalar_text(const Node& node) {
  const bool plain =
      !node.quoted && can_stand_plain(node.text) && node.text != "null" && node.text != "Null" && node.text != "NULL";
  return plain ? node.text : in_double_quotes(node.text);
}

std::string key_text(const std::string& key) { return can_stand_plain(key) && !looks_special(key) ? key : in_double_quotes(key); }

bool is_leaf(const Node& node) { return node.kind == NodeKind::null || node.kind == NodeKind::scalar; }

/// Lists of scalars, and of such lists, stay on one line; so do empty maps and lists.
bool stays_on_line(const Node& node) {
  if (is_leaf(node)) return true;
  if (node.kind == NodeKind::map) return node.entries.empty();
  return std::all_of(node.items.begin(), node.items.end(), stays_on_line);
}

class Writer {
 public:
  explicit Writer(bool comments) : comments_(comments) {}

  std::string out = {};

  void map(const Node& node, size_t indent, bool first_is_indented) {
    for (size_t i = 0; i < node.entries.size(); ++i) {
      const auto& [key, value] = node.entries[i];
      if (i > 0 || !first_is_indented) out.append(indent, ' ');
      out += key_text(key) + ":";
      below(value, indent);
    }
  }

  void list(const Node& node, size_t indent) {
    for (const auto& item : node.items) {
      out.append(indent, ' ');
      out += "-";
      if (item.kind == NodeKind::map && !item.entries.empty()) {
        out += " ";
        map(item, indent + 2, true);
      } else {
        below(item, indent);
      }
    }
  }

 private:
  void below(const Node& value, size_t indent) {
    const bool here = stays_on_line(value);
    if (here) out += " " + to_flow_yaml(value);
    comment(value);
    out += "\n";
    if (here) return;
    if (value.kind == NodeKind::map) {
      map(value, indent + 2, false);
    } else {
      list(value, indent + 2);
    }
  }

  void comment(const Node& value) {
    if (!comments_ || value.comment.empty()) return;
    std::string line = value.comment;
    std::replace(line.begin(), line.end(), '\n', ' ');
    out += "  # " + line;
  }

  bool comments_;
};

}  // namespace

std::string to_flow_yaml(const Node& node) {
  if (node.kind == NodeKind::null) return "null";
  if (node.kind == NodeKind::scalar) return scalar_text(node);
  const bool is_list = node.kind == NodeKind::list;
  std::string out = is_list ? "[" : "{";
  for (const auto& item : node.items) out += (out.size() > 1 ? ", " : "") + to_flow_yaml(item);
  for (const auto& [key, value] : node.entries) out += (out.size() > 1 ? ", " : "") + key_text(key) + ": " + to_flow_yaml(value);
  return out + (is_list ? "]" : "}");
}

std::string to_yaml(const Node& node, YamlComments comments) {
  if (stays_on_line(node)) return to_flow_yaml(node) + "\n";
  Writer writer(comments == YamlComments::write);
  if (node.kind == NodeKind::map) {
    writer.map(node, 0, false);
  } else {
    writer.list(node, 0);
  }
  return std::move(writer.out);
}

}  // namespace elbo
