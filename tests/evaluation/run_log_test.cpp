#include "elbo/evaluation/run_log.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>

using namespace elbo;

namespace run_log_test {

RunLog log_of(const std::string& lines) {
  const auto path = std::filesystem::temp_directory_path() / "elbo_run_log_metrics.jsonl";
  std::ofstream(path, std::ios::binary) << lines;
  auto log = read_run_log(path);
  std::filesystem::remove(path);
  return log;
}

TEST(RunLog, GathersEachQuantityOverTheSteps) {
  const auto log = log_of(
      "{\"step\":5,\"epoch\":0,\"split\":\"train\",\"bound\":-3.5,\"kl\":1}\n"
      "{\"step\":10,\"epoch\":1,\"split\":\"train\",\"bound\":null,\"kl\":2}\n"
      "{\"step\":10,\"epoch\":1,\"split\":\"valid\",\"bound\":-4}\n");
  EXPECT_TRUE(log.problems.empty());
  ASSERT_EQ(log.series.size(), 3u);
  const auto* bound = log.find("train", "bound");
  ASSERT_TRUE(bound);
  ASSERT_EQ(bound->points.size(), 2u);
  EXPECT_EQ(bound->points[0].step, 5);
  EXPECT_EQ(bound->points[0].value, -3.5);
  EXPECT_TRUE(std::isnan(bound->points[1].value));  // what was logged was not finite
  EXPECT_EQ(log.find("valid", "bound")->points[0].value, -4);
  EXPECT_EQ(log.find("valid", "kl"), nullptr);
  EXPECT_EQ(log.last_step, 10);
  EXPECT_EQ(log.last_epoch, 1);
}

TEST(RunLog, KeepsTheNewestUnits) {
  const auto log = log_of(
      "{\"step\":20,\"epoch\":2,\"split\":\"valid\",\"kl_per_unit\":{\"z\":[0.5,0]},\"variance_of_means\":{\"z\":[1,0.001]}}\n"
      "{\"step\":10,\"epoch\":1,\"split\":\"valid\",\"kl_per_unit\":{\"z\":[9,9]},\"variance_of_means\":{\"z\":[9,9]}}\n");
  ASSERT_EQ(log.units.size(), 1u);
  EXPECT_EQ(log.units_step, 20);
  EXPECT_EQ(log.units[0].layer, "z");
  EXPECT_EQ(log.units[0].kl, (std::vector<double>{0.5, 0}));
  EXPECT_EQ(log.units[0].variance_of_means, (std::vector<double>{1, 0.001}));
}

TEST(RunLog, LeavesBrokenLinesOutAndNamesThem) {
  const auto log = log_of(
      "{\"step\":5,\"epoch\":0,\"split\":\"train\",\"bound\":-3}\n"
      "[1]\n"
      "\n"
      "{\"epoch\":0,\"split\":\"train\",\"bound\":-3}\n"
      "{\"step\":6,\"epoch\":0,\"split\":3,\"bound\":-3}\n"
      "{\"step\":7,\"epoch\":0,\"split\":\"train\",\"bound\":-2}\n"
      "{\"step\":8,\"epoch\":0,\"spl");
  ASSERT_EQ(log.find("train", "bound")->points.size(), 2u);
  ASSERT_EQ(log.problems.size(), 4u);
  EXPECT_TRUE(log.problems[0].ends_with("metrics.jsonl:2: left out: not a JSON object")) << log.problems[0];
  EXPECT_TRUE(log.problems[1].ends_with("metrics.jsonl:4: left out: no integer 'step'")) << log.problems[1];
  EXPECT_TRUE(log.problems[2].ends_with("metrics.jsonl:5: left out: no text 'split'")) << log.problems[2];
  EXPECT_NE(log.problems[3].find("metrics.jsonl:7: left out: "), std::string::npos) << log.problems[3];
}

TEST(RunLog, OfEqualStepsTheLastLineStandsInOrder) {
  const auto log = log_of(
      "{\"step\":9,\"epoch\":0,\"split\":\"train\",\"kl\":1}\n"
      "{\"step\":5,\"epoch\":0,\"split\":\"train\",\"kl\":2}\n"
      "{\"step\":9,\"epoch\":0,\"split\":\"train\",\"kl\":3}\n");
  const auto& points = log.find("train", "kl")->points;
  ASSERT_EQ(points.size(), 2u);
  EXPECT_EQ(points[0].value, 2);
  EXPECT_EQ(points[1].value, 3);
}

TEST(RunLog, CutsALongListOfProblems) {
  std::string lines;
  for (int i = 0; i < 30; ++i) lines += "x\n";
  const auto log = log_of(lines);
  ASSERT_EQ(log.problems.size(), 9u);
  EXPECT_TRUE(log.problems.back().ends_with("22 more lines left out"));
  EXPECT_EQ(read_run_log("/nowhere/metrics.jsonl").problems.size(), 1u);
}

}  // namespace run_log_test
