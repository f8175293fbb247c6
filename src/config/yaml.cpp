#include "elbo/config/yaml.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <sstream>

#include "elbo/base/error.h"
#include "elbo/base/text.h"

namespace elbo {

namespace {

constexpr size_t kMaxTextBytes = 4 * kMaxYamlBytes;  // of all scalars together, after aliases are expanded
constexpr size_t kMaxKeyBytes = 200;  // YAML itself stops at 1024, which escapes could exceed when the key is written again

[[noreturn]] void fail(const std::string& file, int64_t line, const std::string& what) {
  throw ConfigError(to_string(Mark{.file = file, .line = line}) + ": " + what);
}

int64_t line_of(std::string_view yaml, size_t byte) {
  return 1 + std::count(yaml.begin(), yaml.begin() + static_cast<int64_t>(std::min(byte, yaml.size())), '\n');
}

/// What can be refused by looking at the bytes alone, before the parser sees them.
void check_bytes(std::string_view yaml, const std::string& file) {
  if (yaml.size() > kMaxYamlBytes) {
    fail(file, 0,
         "has " + with_commas(static_cast<int64_t>(yaml.size())) + " bytes, expected at most " +
             with_commas(static_cast<int64_t>(kMaxYamlBytes)));
  }
  if (const auto bad = find_invalid_utf8(yaml)) fail(file, line_of(yaml, *bad), "the text isn't UTF-8; save it as UTF-8");
  bool in_indent = true;
  bool tab_in_indent = false;
  for (size_t i = 0; i < yaml.size(); ++i) {
    const auto byte = static_cast<unsigned char>(yaml[i]);
    if ((byte < 0x20 && byte != '\t' && byte != '\n' && byte != '\r') || byte == 0x7F) {
      fail(file, line_of(yaml, i), text("has the control character ", static_cast<int>(byte), ", expected plain text"));
    }
    if (byte == '\n' || byte == '\r') {
      in_indent = true, tab_in_indent = false;
    } else if (in_indent && byte == '\t') {
      tab_in_indent = true;
    } else if (in_indent && byte != ' ') {
      if (tab_in_indent && byte != '#') fail(file, line_of(yaml, i), "is indented with a tab; YAML indents with spaces");
      in_indent = false;
    }
  }
}

/// Builds Nodes from the parser's events and stops at the first thing we don't take, so that nothing hostile is ever expanded.
class Builder final : public YAML::EventHandler {
 public:
  explicit Builder(const std::string& file) : file_(file) {}

  Node take_root() { return std::move(root_); }
  bool has_document() const { return num_documents_ > 0; }

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++num_documents_ > 1) refuse(mark, "a second document starts here, expected one");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(mark, anchor, Node{}); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, const std::string& value) override {
    check_tag(mark, tag);
    if (const auto bad = find_invalid_utf8(value)) refuse(mark, "an escape in the text makes a character that doesn't exist");
    if (value.find('\0') != std::string::npos) refuse(mark, "the text holds the character 0");
    leaf(mark, anchor, scalar_node(value, tag == "!"));
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) refuse(mark, "an alias stands inside what it names");
    Node copy = known->second.node;
    spend(mark, known->second.num_nodes, known->second.num_bytes);
    if (static_cast<int>(open_.size()) + known->second.depth > kMaxYamlDepth) refuse_depth(mark);
    add(mark, std::move(copy), known->second.depth);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, list_node());
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, YAML::EmitterStyle::value) override {
    open(mark, tag, anchor, map_node());
  }
  void OnMapEnd() override { close(); }

 private:
  struct Open {
    Node node = {};
    YAML::anchor_t anchor = 0;
    size_t nodes_before = 0;
    size_t bytes_before = 0;
    int depth = 1;  // of what it holds so far, itself included
    bool has_key = false;
    std::string key = {};
    int64_t key_line = 0;
  };
  struct Anchored {
    Node node = {};
    size_t num_nodes = 0;
    size_t num_bytes = 0;
    int depth = 0;
  };

  [[noreturn]] void refuse(const YAML::Mark& mark, const std::string& what) const { fail(file_, mark.line + 1, what); }
  [[noreturn]] void refuse_depth(const YAML::Mark& mark) const {
    refuse(mark, text("nested deeper than ", kMaxYamlDepth, " levels"));
  }

  void check_tag(const YAML::Mark& mark, const std::string& tag) const {
    if (!tag.empty() && tag != "?" && tag != "!") refuse(mark, "has the tag " + in_quotes(tag) + "; tags are refused");
  }

  void spend(const YAML::Mark& mark, size_t nodes, size_t bytes) {
    num_nodes_ += nodes;
    num_bytes_ += bytes;
    if (num_nodes_ > kMaxYamlNodes) refuse(mark, text("more than ", kMaxYamlNodes, " values, counting what aliases repeat"));
    if (num_bytes_ > kMaxTextBytes)
      refuse(mark, text("more than ", kMaxTextBytes, " bytes of text, counting what aliases repeat"));
  }

  void leaf(const YAML::Mark& mark, YAML::anchor_t anchor, Node node) {
    const size_t bytes = node.text.size();
    spend(mark, 1, bytes);
    if (anchor != 0) anchors_[anchor] = {node, 1, bytes, 0};
    add(mark, std::move(node), 0);
  }

  void open(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor, Node node) {
    check_tag(mark, tag);
    if (static_cast<int>(open_.size()) >= kMaxYamlDepth) refuse_depth(mark);
    if (!open_.empty() && open_.back().node.kind == NodeKind::map && !open_.back().has_key) {
      refuse(mark, "a key is a list or a map, expected a plain text");
    }
    node.mark = {.file = file_, .line = mark.line + 1};
    const size_t nodes_before = num_nodes_;
    const size_t bytes_before = num_bytes_;
    spend(mark, 1, 0);
    open_.push_back({.node = std::move(node), .anchor = anchor, .nodes_before = nodes_before, .bytes_before = bytes_before});
  }

  void close() {
    Open done = std::move(open_.back());
    open_.pop_back();
    if (done.anchor != 0) {
      anchors_[done.anchor] = {done.node, num_nodes_ - done.nodes_before, num_bytes_ - done.bytes_before, done.depth};
    }
    YAML::Mark mark;
    mark.line = static_cast<int>(done.node.mark.line) - 1;
    add(mark, std::move(done.node), done.depth);
  }

  void add(const YAML::Mark& mark, Node node, int depth) {
    node.mark = {.file = file_, .line = mark.line + 1};
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    parent.depth = std::max(parent.depth, depth + 1);
    if (parent.node.kind == NodeKind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      take_key(mark, node, parent);
    } else {
      node.mark.line = parent.key_line;
      parent.node.entries.emplace_back(std::move(parent.key), std::move(node));
      parent.has_key = false;
    }
  }

  void take_key(const YAML::Mark& mark, const Node& node, Open& parent) const {
    if (node.kind != NodeKind::scalar) refuse(mark, "a key is " + describe(node) + ", expected a plain text");
    if (node.text == "<<") refuse(mark, "merging with '<<' is refused; write the keys out");
    if (node.text.size() > kMaxKeyBytes)
      refuse(mark, text("a key has ", node.text.size(), " bytes, expected at most ", kMaxKeyBytes));
    parent.has_key = true;
    parent.key = node.text;
    parent.key_line = mark.line + 1;
  }

  const std::string& file_;
  Node root_ = {};
  std::vector<Open> open_ = {};
  std::map<YAML::anchor_t, Anchored> anchors_ = {};
  size_t num_nodes_ = 0;
  size_t num_bytes_ = 0;
  int num_documents_ = 0;
};

}  // namespace

Node parse_yaml(std::string_view yaml, const std::string& file) {
  check_bytes(yaml, file);
  Builder builder(file);
  try {
    // yaml-cpp 0.7 takes a quoted text that the file's last line end cuts off for complete; it doesn't in front of a comment.
    std::istringstream stream{std::string(yaml) + "\n#"};
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
    }
  } catch (const YAML::Exception& error) {
    fail(file, error.mark.is_null() ? 0 : error.mark.line + 1, "not YAML: " + error.msg);
  }
  if (!builder.has_document()) fail(file, 0, "there is nothing in it, expected settings such as 'name: …'");
  return builder.take_root();
}

Node load_yaml(const std::filesystem::path& path) {
  const std::string file = path.string();
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status)) fail(file, 0, "there is no such file");
  if (!std::filesystem::is_regular_file(status)) fail(file, 0, "is no regular file, expected a YAML file");
  std::ifstream stream(path, std::ios::binary);
  if (!stream) fail(file, 0, "can't be opened; check its permissions");
  std::string yaml(kMaxYamlBytes + 1, '\0');  // read no more than we take, whatever size the file has or claims
  stream.read(yaml.data(), static_cast<std::streamsize>(yaml.size()));
  if (stream.bad()) fail(file, 0, "can't be read");
  yaml.resize(static_cast<size_t>(stream.gcount()));
  if (yaml.size() > kMaxYamlBytes) {
    fail(file, 0,
         "has more than " + with_commas(static_cast<int64_t>(kMaxYamlBytes)) + " bytes, the most that a config may have");
  }
  return parse_yaml(yaml, file);
}

}  // namespace elbo
