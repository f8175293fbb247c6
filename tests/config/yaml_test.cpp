#include "elbo/config/yaml.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

#include "elbo/base/error.h"

namespace yaml_test {
namespace {
using namespace elbo;

std::string message_of(std::string_view yaml) {
  try {
    parse_yaml(yaml, "a.yaml");
  } catch (const ConfigError& error) {
    return error.what();
  }
  return "";
}

TEST(Yaml, KeepsOrderKindsAndLinesOfKeys) {
  const Node root = parse_yaml(
      "# a comment\n"
      "zeta: 1\n"
      "alpha:\n"
      "  - x\n"
      "  - {k: 'quoted'}\n"
      "empty:\n"
      "tilde: ~\n"
      "block: |\n"
      "  12\n",
      "a.yaml");
  ASSERT_EQ(root.entries.size(), 5U);
  EXPECT_EQ(root.entries[0].first, "zeta");
  EXPECT_EQ(root.find("zeta")->text, "1");
  EXPECT_EQ(to_string(root.find("zeta")->mark), "a.yaml:2");
  EXPECT_EQ(root.find("alpha")->mark.line, 3);  // the key's line, not that of its first item
  EXPECT_EQ(root.find("alpha")->items[1].mark.line, 5);
  EXPECT_TRUE(root.find("alpha")->items[1].find("k")->quoted);
  EXPECT_FALSE(root.find("alpha")->items[0].quoted);
  EXPECT_EQ(root.find("empty")->kind, NodeKind::null);
  EXPECT_EQ(root.find("tilde")->kind, NodeKind::null);
  EXPECT_TRUE(root.find("block")->quoted);
  EXPECT_EQ(root.find("block")->text, "12\n");
  EXPECT_EQ(root.find("nothing"), nullptr);
}

TEST(Yaml, KeepsDuplicateKeysForTheReader) {
  const Node root = parse_yaml("a: 1\nb: 2\na: 3\n", "a.yaml");
  ASSERT_EQ(root.entries.size(), 3U);
  EXPECT_EQ(root.entries[2].first, "a");
  EXPECT_EQ(root.entries[2].second.mark.line, 3);
  EXPECT_EQ(root.find("a")->text, "1");
}

TEST(Yaml, AliasesAreCopies) {
  const Node root = parse_yaml("a: &net {hidden: [1, 2]}\nb: *net\nc: &x 5\nd: [*x, *x]\n", "a.yaml");
  EXPECT_TRUE(same_content(*root.find("a"), *root.find("b")));
  EXPECT_EQ(root.find("b")->mark.line, 2);
  EXPECT_EQ(root.find("d")->items[1].text, "5");
}

TEST(Yaml, TakesWindowsFiles) {
  const Node root = parse_yaml(
      "\xEF\xBB\xBF"
      "a: 1\r\nb: 2\r\n",
      "a.yaml");
  EXPECT_EQ(root.find("a")->text, "1");
  EXPECT_EQ(root.find("b")->text, "2");
  EXPECT_EQ(root.find("b")->mark.line, 2);
}

TEST(Yaml, SaysWhatIsRefusedAndWhere) {
  EXPECT_EQ(message_of("a: 1\n---\nb: 2\n"), "a.yaml:2: a second document starts here, expected one");
  EXPECT_EQ(message_of("a: &x {k: 1}\nb:\n  <<: *x\n"), "a.yaml:3: merging with '<<' is refused; write the keys out");
  EXPECT_EQ(message_of("a: 1\nb: !!int 2\n"), "a.yaml:2: has the tag 'tag:yaml.org,2002:int'; tags are refused");
  EXPECT_EQ(message_of("a: !python/object {}\n"), "a.yaml:1: has the tag '!python/object'; tags are refused");
  EXPECT_EQ(message_of("a: 1\nb: \xff\n"), "a.yaml:2: the text isn't UTF-8; save it as UTF-8");
  EXPECT_EQ(message_of(std::string_view("a: 1\nb: \0\n", 10)), "a.yaml:2: has the control character 0, expected plain text");
  EXPECT_EQ(message_of("a: \"x\\0y\"\n"), "a.yaml:1: the text holds the character 0");
  EXPECT_EQ(message_of("a:\n\tb: 1\n"), "a.yaml:2: is indented with a tab; YAML indents with spaces");
  EXPECT_EQ(message_of("a: 1\n[x, y]: 2\n"), "a.yaml:2: a key is a list or a map, expected a plain text");
  EXPECT_EQ(message_of("~: 2\n"), "a.yaml:1: a key is nothing, expected a plain text");
  EXPECT_EQ(message_of(""), "a.yaml: there is nothing in it, expected settings such as 'name: …'");
  EXPECT_EQ(message_of("# only\n\n# comments\n"), "a.yaml: there is nothing in it, expected settings such as 'name: …'");
  EXPECT_THAT(message_of("a: 1\nb: [1, 2\n"), testing::StartsWith("a.yaml:"));
  EXPECT_THAT(message_of("a: 1\nb: [1, 2\n"), testing::HasSubstr("not YAML"));
}

TEST(Yaml, DepthIsCountedThroughAliases) {
  std::string deep = "{}";
  for (int i = 1; i < kMaxYamlDepth - 1; ++i) deep = "[" + deep + "]";
  EXPECT_EQ(message_of("a: " + deep), "");  // the map is one level
  EXPECT_EQ(message_of("a: [" + deep + "]"), "a.yaml:1: nested deeper than 64 levels");
  std::string half = "{}";
  for (int i = 1; i < 40; ++i) half = "[" + half + "]";
  std::string around = "*x";
  for (int i = 0; i < 23; ++i) around = "[" + around + "]";
  EXPECT_EQ(message_of("a: &x " + half + "\nb: " + around + "\n"), "");
  EXPECT_EQ(message_of("a: &x " + half + "\nb: [" + around + "]\n"), "a.yaml:2: nested deeper than 64 levels");
}

class YamlFiles : public testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directories(folder_); }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::filesystem::path folder_ = std::filesystem::temp_directory_path() / ("elbo_yaml_test_" + std::to_string(getpid()));

  std::string message(const std::filesystem::path& path) const {
    try {
      load_yaml(path);
    } catch (const ConfigError& error) {
      const std::string whole = error.what();
      const auto folder = folder_.string() + "/";
      return whole.starts_with(folder) ? whole.substr(folder.size()) : whole;
    }
    return "";
  }
};

TEST_F(YamlFiles, LoadsAFileAndNamesIt) {
  std::ofstream(folder_ / "good.yaml") << "name: x\n";
  EXPECT_EQ(load_yaml(folder_ / "good.yaml").find("name")->text, "x");
  std::ofstream(folder_ / "bad.yaml") << "name: x\n---\n";
  EXPECT_EQ(message(folder_ / "bad.yaml"), "bad.yaml:2: a second document starts here, expected one");
}

TEST_F(YamlFiles, RefusesWhatIsNoConfigFile) {
  EXPECT_EQ(message(folder_ / "none.yaml"), "none.yaml: there is no such file");
  EXPECT_EQ(message(folder_ / "none" / "deeper.yaml"), "none/deeper.yaml: there is no such file");
  std::filesystem::create_directories(folder_ / "folder.yaml");
  EXPECT_EQ(message(folder_ / "folder.yaml"), "folder.yaml: is no regular file, expected a YAML file");
  EXPECT_EQ(message("/dev/zero"), "/dev/zero: is no regular file, expected a YAML file");
  EXPECT_NE(message(std::filesystem::path(std::string(10'000, 'x'))), "");
}

TEST_F(YamlFiles, ReadsNoMoreThanItTakes) {
  std::ofstream(folder_ / "sparse.yaml") << "a: 1\n";
  std::filesystem::resize_file(folder_ / "sparse.yaml", uintmax_t{1} << 40);  // a terabyte that takes no space
  EXPECT_EQ(message(folder_ / "sparse.yaml"), "sparse.yaml: has more than 1,048,576 bytes, the most that a config may have");
}

TEST_F(YamlFiles, UnreadableFileIsSaid) {
  if (geteuid() == 0) GTEST_SKIP() << "root reads everything";
  std::ofstream(folder_ / "secret.yaml") << "a: 1\n";
  std::filesystem::permissions(folder_ / "secret.yaml", std::filesystem::perms::none);
  EXPECT_EQ(message(folder_ / "secret.yaml"), "secret.yaml: can't be opened; check its permissions");
}

}  // namespace
}  // namespace yaml_test
