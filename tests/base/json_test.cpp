#include "elbo/base/json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace json_test {
namespace {
using namespace elbo;

std::string message_of(std::string_view raw) {
  try {
    parse_json<CheckpointError>(raw, "runs/a/state.json");
  } catch (const CheckpointError& error) {
    return error.what();
  }
  return "";
}

TEST(Json, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_json(R"({"z": 1, "a": [true, null]})", "x").dump(), R"({"z":1,"a":[true,null]})");
}

TEST(Json, SaysWhereItFails) {
  EXPECT_EQ(message_of("{\"a\": 1,\n \"b\": x}"), "runs/a/state.json: not JSON at line 2, column 7 (byte 16)");
  EXPECT_EQ(message_of("{\"a\": 1"), "runs/a/state.json: not JSON at line 1, column 8 (byte 8): the text ends too early");
  EXPECT_EQ(message_of(""), "runs/a/state.json: not JSON at line 1, column 1 (byte 1): the text ends too early");
  EXPECT_EQ(message_of("[1] [2]"), "runs/a/state.json: not JSON at line 1, column 5 (byte 5)");
  EXPECT_EQ(message_of("[\"\xff\"]"), "runs/a/state.json: not UTF-8 at line 1, column 3 (byte 3)");
}

TEST(Json, RefusesHostileTexts) {
  EXPECT_THAT(message_of(std::string(1'000'000, '[')), testing::HasSubstr("nested deeper than 128"));
  EXPECT_EQ(message_of("\"" + std::string(1000, '[') + "\""), "");  // brackets in a text are no nesting
  EXPECT_EQ(message_of(R"(["\"[[["])"), "");
  EXPECT_NE(message_of("[1e999]"), "");
  EXPECT_NE(message_of("[NaN]"), "");
  EXPECT_NE(message_of("{a: 1}"), "");
  EXPECT_NE(message_of("[1,]"), "");
}

}  // namespace
}  // namespace json_test
