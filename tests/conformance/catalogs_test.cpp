#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "conformance/components.h"
#include "elbo/base/error.h"
#include "elbo/config/yaml.h"

namespace elbo::conformance {
namespace {

TEST(Catalogs, EveryAxisIsWalked) {
  std::vector<std::string> walked = module_axes();
  walked.insert(walked.end(), other_axes().begin(), other_axes().end());
  std::sort(walked.begin(), walked.end());
  std::vector<std::string> axes;
  for (const auto* catalog : all_catalogs()) axes.push_back(catalog->axis());
  EXPECT_EQ(axes, walked) << "all_catalogs() is sorted by axis; a new axis needs a walk in tests/conformance";
}

TEST(Catalogs, TestedAndExemptAreAllThereIs) {
  std::set<std::string> known, all;
  for (const auto& axes : {module_axes(), other_axes()}) {
    for (const auto& component : components(axes)) known.insert(component.str());
  }
  for (const auto& [component, reason] : exempt()) {
    EXPECT_FALSE(reason.empty()) << component;
    EXPECT_TRUE(known.insert(component).second) << component << " is both exempt and tested";
  }
  for (const auto* catalog : all_catalogs()) {
    for (const auto& entry : catalog->entries()) all.insert(catalog->axis() + "/" + entry.name);
  }
  EXPECT_EQ(known, all);
  EXPECT_GE(all.size(), 25U);
}

class EveryComponent : public ::testing::TestWithParam<Component> {};

TEST_P(EveryComponent, SaysWhereItComesFromAndWhatItsOptionsMean) {
  const auto& catalog = catalog_of(GetParam().axis);
  EXPECT_FALSE(catalog.get(GetParam().name).source.empty());
  std::set<std::string> names;
  for (const auto& field : catalog.describe(GetParam().name)) {
    EXPECT_TRUE(names.insert(field.name).second) << field.name << " is listed twice";
    EXPECT_FALSE(field.doc.empty()) << field.name;
    EXPECT_FALSE(field.type.empty()) << field.name;
    EXPECT_EQ(field.doc.find('\n'), std::string::npos) << field.name;
  }
}

TEST_P(EveryComponent, DumpsWhatItReadsAndReadsWhatItDumps) {
  const auto dump = config_of(GetParam())->dump();
  const auto text = to_yaml(dump, YamlComments::write);
  auto again = catalog_of(GetParam().axis).get(GetParam().name).defaults();
  Problems problems;
  again->read(parse_yaml(text.empty() ? "{}" : text, "dump"), "", problems, nullptr);
  EXPECT_TRUE(problems.empty()) << problems.report();
  EXPECT_TRUE(same_content(again->dump(), dump)) << text << "\nbut\n" << to_yaml(again->dump());
}

TEST_P(EveryComponent, RefusesAKeyItDoesNotKnow) {
  auto config = catalog_of(GetParam().axis).get(GetParam().name).defaults();
  Problems problems;
  config->read(parse_yaml("no_such_option: 1\n", "file"), "here", problems, nullptr);
  bool reported = false;
  for (const auto& problem : problems.list())
    reported = reported || problem.str().starts_with("file:1: here.no_such_option: unknown key");
  EXPECT_TRUE(reported) << problems.report();
}

std::vector<Component> every_component() {
  auto all = components(module_axes());
  const auto others = components(other_axes());
  all.insert(all.end(), others.begin(), others.end());
  return all;
}

INSTANTIATE_TEST_SUITE_P(Catalogs, EveryComponent, ::testing::ValuesIn(every_component()), test_name);

}  // namespace
}  // namespace elbo::conformance
