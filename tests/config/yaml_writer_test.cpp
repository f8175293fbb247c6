#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "elbo/config/yaml.h"

namespace yaml_writer_test {
namespace {
using namespace elbo;

Node sample() {
  Node hidden = list_node({scalar_node("200"), scalar_node("200")});
  hidden.comment = "width of each layer";
  Node encoder = map_node({{"type", scalar_node("mlp")}, {"hidden", hidden}});
  encoder.comment = "features";
  Node seed = scalar_node("1");
  seed.comment = "of every\nrandom stream";
  return map_node({{"name", scalar_node("fashion_mnist/iwae")},
                   {"seed", seed},
                   {"encoder", encoder},
                   {"nothing", Node{}},
                   {"empty", map_node()},
                   {"none", list_node()},
                   {"stages", list_node({map_node({{"a", scalar_node("1")}, {"b", scalar_node("-2.5e-05")}}),
                                         map_node({{"a", list_node()}})})},
                   {"note", scalar_node("a: b # c")}});
}

TEST(YamlWriter, WritesBlocksWithListsOfScalarsInBrackets) {
  EXPECT_EQ(to_yaml(sample()),
            "name: fashion_mnist/iwae\n"
            "seed: 1\n"
            "encoder:\n"
            "  type: mlp\n"
            "  hidden: [200, 200]\n"
            "nothing: null\n"
            "empty: {}\n"
            "none: []\n"
            "stages:\n"
            "  - a: 1\n"
            "    b: -2.5e-05\n"
            "  - a: []\n"
            "note: \"a: b # c\"\n");
}

TEST(YamlWriter, CommentsStandAtTheEndOfTheKeysLine) {
  const std::string yaml = to_yaml(sample(), YamlComments::write);
  EXPECT_THAT(yaml, testing::HasSubstr("seed: 1  # of every random stream\n"));
  EXPECT_THAT(yaml, testing::HasSubstr("encoder:  # features\n  type: mlp\n  hidden: [200, 200]  # width of each layer\n"));
  EXPECT_TRUE(same_content(parse_yaml(yaml, "x"), sample()));
}

TEST(YamlWriter, WritesFlowOnOneLine) {
  EXPECT_EQ(to_flow_yaml(sample()),
            "{name: fashion_mnist/iwae, seed: 1, encoder: {type: mlp, hidden: [200, 200]}, nothing: null, empty: {}, none: [], "
            "stages: [{a: 1, b: -2.5e-05}, {a: []}], note: \"a: b # c\"}");
  EXPECT_TRUE(same_content(parse_yaml(to_flow_yaml(sample()), "x"), sample()));
  EXPECT_EQ(to_yaml(map_node()), "{}\n");
  EXPECT_EQ(to_yaml(list_node({map_node({{"a", scalar_node("1")}}), list_node({list_node()})})), "- a: 1\n- [[]]\n");
}

TEST(YamlWriter, EveryTextComesBack) {
  std::vector<std::string> texts = {"",     " ",      "null", "~",       "true",   "-",   "- a",    "-a",   "--",      "-1",
                                    ":",    "a:",     "a: b", "#",       "a #b",   "a#b", "'",      "\"",   "\\",      "{",
                                    "}",    "[",      ",",    "&a",      "*a",     "!a",  "|",      ">",    "%",       "@",
                                    "`",    "?",      "? a",  "<<x",     "=",      "...", "---",    "a\nb", "\n",      "a\n",
                                    "\ta",  "a\r\nb", "ä€𝄞",  "  a  ",   "1e3",    ".5",  "./data", "/x/y", "\x01z",   "\x7f",
                                    "NULL", "Null",   "yes",  "\u2028x", "\u0085", "+1",  ".",      "..",   "C:\\x\\", "a'b\"c"};
  for (const auto& raw : texts) {
    for (const bool was_quoted : {false, true}) {
      if (!was_quoted && (raw == "null" || raw == "~" || raw.empty() || raw == "NULL" || raw == "Null")) continue;
      const Node tree = map_node({{"k", scalar_node(raw, was_quoted)}, {"l", list_node({scalar_node(raw, was_quoted)})}});
      const Node back = parse_yaml(to_yaml(tree), "x");
      EXPECT_EQ(back.find("k")->text, raw);
      EXPECT_EQ(back.find("k")->kind, NodeKind::scalar);
      EXPECT_EQ(back.find("l")->items.at(0).text, raw);
    }
    if (!raw.empty()) {
      const Node back = parse_yaml(to_yaml(map_node({{raw, scalar_node("v")}, {"m", map_node({{raw, scalar_node("w")}})}})), "x");
      EXPECT_EQ(back.entries.at(0).first, raw);
      EXPECT_EQ(back.find("m")->entries.at(0).first, raw);
    }
  }
}

TEST(YamlWriter, QuotesSurvive) {
  const Node back = parse_yaml(to_yaml(map_node({{"a", scalar_node("5", true)}, {"b", scalar_node("5")}})), "x");
  EXPECT_TRUE(back.find("a")->quoted);
  EXPECT_FALSE(back.find("b")->quoted);
}

}  // namespace
}  // namespace yaml_writer_test
