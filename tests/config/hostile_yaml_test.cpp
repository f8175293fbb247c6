#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <chrono>
#include <random>

#include "config/example_config.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/config/yaml.h"

namespace hostile_yaml_test {
namespace {
using namespace elbo;
using config_example::Experiment;

std::string repeat(std::string_view piece, size_t times) {
  std::string all;
  all.reserve(piece.size() * times);
  for (size_t i = 0; i < times; ++i) all += piece;
  return all;
}

std::string alias_bomb(int levels) {
  std::string bomb = "l0: &l0 [x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < levels; ++i) {
    const auto before = "*l" + std::to_string(i - 1);
    bomb += text("l", i, ": &l", i, " [") + before + repeat(", " + before, 8) + "]\n";
  }
  return bomb;
}

std::string duplicates_at_every_level() {
  std::string yaml;
  for (int i = 0; i < 60; ++i)
    yaml += std::string(static_cast<size_t>(i), ' ') + "a: 1\n" + std::string(static_cast<size_t>(i), ' ') + "a:\n";
  return yaml;
}

struct Hostile {
  std::string name;
  std::string yaml;
};
void PrintTo(const Hostile& text, std::ostream* out) { *out << text.name; }

std::vector<Hostile> hostile_texts() {
  using std::string_literals::operator""s;
  const std::string good = "name: x\nmodel: {type: vae}\n";
  std::vector<Hostile> all = {
      {"empty", ""},
      {"blank", "   \n\n  \n"},
      {"only_comments", "# a\n# b\n"},
      {"only_a_marker", "---\n"},
      {"list_at_top", "- a\n- b\n"},
      {"scalar_at_top", "hello\n"},
      {"number_at_top", "42"},
      {"null_at_top", "~\n"},
      {"alias_bomb", alias_bomb(30)},
      {"wide_alias_bomb", "a: &a [" + repeat("1,", 5000) + "1]\nb: [" + repeat("*a,", 5000) + "*a]\n"},
      {"long_text_alias_bomb", "a: &a " + std::string(500'000, 'x') + "\nb: [" + repeat("*a,", 9000) + "*a]\n"},
      {"alias_of_itself", "a: &a [*a]\n"},
      {"alias_of_itself_in_a_map", "a: &a {b: {c: *a}}\n"},
      {"alias_of_nothing", "a: *nothing\n"},
      {"nested_lists", "a: " + std::string(100'000, '[')},
      {"nested_lists_closed", "a: " + std::string(100'000, '[') + std::string(100'000, ']')},
      {"nested_maps", repeat("{a: ", 100'000)},
      {"nested_mixed", repeat("[{a: ", 100'000)},
      {"nested_block_lists", repeat("- ", 100'000) + "x"},
      {"nested_block_maps",
       [] {
         std::string yaml;
         for (size_t i = 0; i < 1000; ++i) yaml += std::string(i, ' ') + "a:\n";
         return yaml;
       }()},
      {"nested_compact_keys", repeat("? ", 100'000)},
      {"nested_explicit_keys", repeat("? - ", 50'000)},
      {"a_64_mb_text", "name: " + std::string(size_t{64} << 20, 'x')},
      {"a_1_mb_text_of_quotes", "name: " + std::string((size_t{1} << 20) - 10, '"')},
      {"a_1_mb_key", std::string((size_t{1} << 20) - 10, 'k') + ": 1\n"},
      {"a_1_mb_explicit_key", "? " + std::string((size_t{1} << 20) - 10, 'k') + "\n: 1\n"},
      {"a_1_mb_number", "seed: " + std::string((size_t{1} << 20) - 10, '9')},
      {"a_1_mb_line_of_colons", std::string((size_t{1} << 20) - 10, ':')},
      {"a_1_mb_line_of_anchors", "a: " + repeat("&a ", 300'000)},
      {"a_1_mb_line_of_tags", "a: " + repeat("!a ", 300'000)},
      {"a_1_mb_of_directives", repeat("%TAG ! x\n", 100'000) + "---\na: 1\n"},
      {"many_newlines", std::string((size_t{1} << 20) - 10, '\n')},
      {"many_keys",
       [] {
         std::string yaml;
         for (int i = 0; i < 9000; ++i) yaml += text("unknown_", i, ": 1\n");
         return yaml;
       }()},
      {"too_many_keys", repeat("a: 1\n", 20'000)},
      {"too_many_items", "a: [" + repeat("1,", 200'000) + "1]\n"},
      {"many_items_for_a_number", "seed: [" + repeat("1,", 5000) + "1]\n" + good},
      {"duplicates", "name: x\nname: y\nmodel: {type: vae, type: vae}\n"},
      {"duplicates_at_every_level", duplicates_at_every_level()},
      {"duplicates_below_an_unknown_key", good + "who: {a: 1, a: 2}\n"},
      {"merge_key", "a: &a {b: 1}\nc: {<<: *a}\n"},
      {"quoted_merge_key", "c: {'<<': {b: 1}}\n"},
      {"two_documents", good + "---\n" + good},
      {"two_documents_after_an_end", good + "...\n---\n" + good},
      {"second_empty_document", good + "---\n"},
      {"invalid_utf8", "name: \xc3\x28\n"},
      {"latin_1", "name: Andr\xe9\n"},
      {"overlong_utf8", "name: \xc0\xae\xc0\xae/\n"},
      {"surrogates", "name: \xed\xa0\x80\n"},
      {"escaped_surrogate", "name: \"\\ud800\"\n"},
      {"escape_beyond_unicode", "name: \"\\U00ffffff\"\n"},
      {"escaped_nul", "name: \"a\\0b\"\n"},
      {"nul_byte", "name: a\0b\n"s},
      {"only_nul", std::string(1000, '\0')},
      {"utf16_le", "\xff\xfen\0a\0m\0e\0"s},
      {"utf16_be", "\xfe\xff\0n\0a\0m\0e"s},
      {"utf16_without_a_mark", "n\0a\0m\0e\0:\0 \0x\0"s},
      {"utf32", "\xff\xfe\0\0n\0\0\0"s},
      {"two_byte_order_marks", "\xEF\xBB\xBF\xEF\xBB\xBFname: x\nmodel: {type: vae}\n"},
      {"escape_sequence", "name: \x1b[2J\n"},
      {"tab_indent", "model:\n\ttype: vae\n"},
      {"tag_int", "seed: !!int 3\n" + good},
      {"tag_str_of_null", "name: !!str\nmodel: {type: vae}\n"},
      {"tag_null", "name: x\nmodel: {type: vae}\nseed: !!null null\n"},
      {"tag_python", "name: !!python/object/apply:os.system ['id']\n"},
      {"tag_on_root", "!!map\n" + good},
      {"huge_integer", good + "seed: 99999999999999999999\n"},
      {"huge_negative_integer", good + "seed: -99999999999999999999\n"},
      {"huge_exponent", good + "seed: 1e999999999\n"},
      {"huge_double", good + "rate: 1e400\n"},
      {"tiny_double", good + "rate: 1e-400\n"},
      {"nan", good + "rate: .nan\n"},
      {"bare_nan", good + "rate: nan\n"},
      {"inf", good + "rate: -.inf\n"},
      {"hexadecimal", good + "seed: 0x10\n"},
      {"octal", good + "seed: 010\n"},
      {"new_octal", good + "seed: 0o10\n"},
      {"underscore", good + "seed: 1_000\n"},
      {"sexagesimal", good + "seed: 1:30\n"},
      {"yes", good + "verbose: yes\n"},
      {"capital_true", good + "verbose: True\n"},
      {"one_as_bool", good + "verbose: 1\n"},
      {"quoted_bool", good + "verbose: \"true\"\n"},
      {"quoted_number", good + "seed: '3'\n"},
      {"block_number", good + "seed: |\n  3\n"},
      {"fraction_for_an_integer", good + "seed: 1.5\n"},
      {"negative_size", "name: x\nmodel: {type: vae, latent_size: -1}\n"},
      {"absurd_size", "name: x\nmodel: {type: vae, latent_size: 9223372036854775807}\n"},
      {"unknown_type", "name: x\nmodel: {type: vea}\n"},
      {"type_is_a_map", "name: x\nmodel: {type: {a: 1}}\n"},
      {"type_is_a_list", "name: x\nmodel: {type: [vae]}\n"},
      {"type_is_null", "name: x\nmodel: {type: }\n"},
      {"model_is_a_text", "name: x\nmodel: vae\n"},
      {"model_is_a_list", "name: x\nmodel: [vae]\n"},
      {"map_for_a_number", good + "seed: {a: 1}\n"},
      {"null_for_a_number", good + "seed:\n"},
      {"unclosed_quote", "model: {type: vae}\nname: \"x\n"},
      {"unclosed_single_quote", "model: {type: vae}\nname: 'x\nseed: 1\n"},
      {"unclosed_bracket", "name: [x\n"},
      {"wrong_bracket", "name: [x}\n"},
      {"bad_indent", "name: x\n  seed: 1\n"},
      {"bad_escape", "name: \"\\q\"\n"},
      {"reserved_character", "name: @x\nmodel: {type: vae}\n"},
      {"unfinished_directive", "%YAML\n"},
      {"directive_of_the_future", "%YAML 9.0\n---\n" + good},
      {"list_as_key", "[a, b]: 1\n" + good},
      {"map_as_key", "{a: b}: 1\n" + good},
      {"null_as_key", ": 1\n" + good},
      {"alias_as_key", "a: &a [1]\n*a : 2\n"},
  };
  return all;
}

class HostileYaml : public testing::TestWithParam<Hostile> {};

TEST_P(HostileYaml, IsAConfigErrorThatComesQuickly) {
  const auto start = std::chrono::steady_clock::now();
  std::string message;
  try {
    read_config<Experiment>(parse_yaml(GetParam().yaml, "hostile.yaml"));
  } catch (const ConfigError& error) {
    message = error.what();
  }
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  EXPECT_THAT(message, testing::StartsWith("hostile.yaml")) << "taken, or the message has no place";
  EXPECT_LT(message.size(), 20'000U);
  EXPECT_EQ(find_invalid_utf8(message), std::nullopt);
  EXPECT_LT(seconds, 5.0);  // milliseconds as a rule; sanitizers and a busy machine have their share
}

INSTANTIATE_TEST_SUITE_P(All, HostileYaml, testing::ValuesIn(hostile_texts()), [](const auto& text) { return text.param.name; });

TEST(HostileYamlMemory, StaysSmall) {
  rusage usage{};
  const auto before = (getrusage(RUSAGE_SELF, &usage), usage.ru_maxrss);
  for (const auto& yaml :
       {alias_bomb(30), "a: &a [" + repeat("1,", 5000) + "1]\nb: [" + repeat("*a,", 5000) + "*a]\n",
        "a: &a " + std::string(500'000, 'x') + "\nb: [" + repeat("*a,", 9000) + "*a]\n", std::string(1'000'000, '[')}) {
    EXPECT_THROW(parse_yaml(yaml, "x"), ConfigError);
  }
  const auto after = (getrusage(RUSAGE_SELF, &usage), usage.ru_maxrss);
  EXPECT_LT(after - before, 200 * 1024);  // KiB
}

TEST(HostileYamlMutations, ATornConfigIsReadOrRefusedButNeverCrashes) {
  const std::string good =
      "name: x\nseed: 1e3\nmodel:\n  type: vae\n  latent_size: 50\n  encoder: {type: mlp, hidden: [200, 200], activation: tanh}\n"
      "beta: {type: linear, from: 0, to: 1}\nlist: &l [\"a\\n\", 'b', |\n]\nother: *l\nblock: >\n  text\n  more\n? k\n: v\n";
  std::mt19937 random(7);
  const std::string spice("{}[]:,-?&*!|>'\"%@`#\n\t \\\0~<=.0e", 31);
  int refused = 0;
  constexpr int kTries = 4000;
  for (int i = 0; i < kTries; ++i) {
    std::string torn = good;
    const auto edits = 1 + random() % 4;
    for (size_t k = 0; k < edits; ++k) {
      const size_t place = random() % torn.size();
      switch (random() % 4) {
        case 0:
          torn[place] = spice[random() % spice.size()];
          break;
        case 1:
          torn.erase(place, 1 + random() % 8);
          break;
        case 2:
          torn.insert(place, 1 + random() % 5, spice[random() % spice.size()]);
          break;
        default:
          torn[place] = static_cast<char>(random() % 256);
      }
      if (torn.empty()) torn = "a";
    }
    try {
      read_config<Experiment>(parse_yaml(torn, "torn.yaml"));
    } catch (const ConfigError& error) {
      ++refused;
      EXPECT_THAT(error.what(), testing::StartsWith("torn.yaml"));
    }
  }
  EXPECT_EQ(refused, kTries);  // even untouched it has keys that the example doesn't know
}

}  // namespace
}  // namespace hostile_yaml_test
