#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace elbo {

/// Where something was written: file and 1-based line; line 0 has none (a command-line override, a program).
struct Mark {
  std::string file = {};
  int64_t line = 0;
  int64_t order = 0;  // 0 for files; the position of a --set, so that reports keep their order
};

/// "file:line", "file", or "" where the value was set by a program.
std::string to_string(const Mark& mark);
/// "line 12" or "--set a.b=c", for messages that already name the file; "" where the value was set by a program.
std::string short_place(const Mark& mark);

enum class NodeKind { null, scalar, list, map };

/// A YAML document as we see it: order and duplicate keys kept, scalars as raw text.
struct Node {
  NodeKind kind = NodeKind::null;
  std::string text = {};                                   // of a scalar
  bool quoted = false;                                     // a quoted or block scalar is never a number, bool or null
  std::vector<Node> items = {};                            // of a list
  std::vector<std::pair<std::string, Node>> entries = {};  // of a map
  Mark mark = {};                                          // of the key, for a value in a map
  std::string comment = {};                                // written by to_yaml at the end of the key's line

  /// The first value of this key, or nullptr.
  const Node* find(std::string_view key) const;
  Node* find(std::string_view key);
};

Node scalar_node(std::string text, bool quoted = false);
Node list_node(std::vector<Node> items = {});
Node map_node(std::vector<std::pair<std::string, Node>> entries = {});

/// "nothing", "'abc'", "a list" or "a map": what an error message says it got.
std::string describe(const Node& node);

/// Same kinds, texts and order; marks, comments and quotes don't count.
bool same_content(const Node& a, const Node& b);

}  // namespace elbo
