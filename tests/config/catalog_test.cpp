#include "elbo/config/catalog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/example_config.h"
#include "elbo/base/error.h"

namespace catalog_test {
namespace {
using namespace elbo;
using config_example::encoders;
using config_example::make_linear;
using config_example::make_mlp;
using config_example::MlpConfig;
using config_example::SizeContext;
using config_example::Thing;

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const UsageError& error) {
    return error.what();
  }
  return "";
}

TEST(Catalog, ListsSortedNamesWithSources) {
  EXPECT_EQ(encoders().axis(), "encoder");
  EXPECT_EQ(encoders().names(), (std::vector<std::string>{"linear", "mlp"}));
  EXPECT_EQ(encoders().entries().at(1).source, "Rosenblatt 1958");
  EXPECT_EQ(encoders().describe("mlp").at(0).name, "hidden");
  EXPECT_TRUE(encoders().describe("linear").empty());
  EXPECT_EQ(encoders().find("conv"), nullptr);
}

TEST(Catalog, MakesFromDefaults) { EXPECT_EQ(encoders().make("mlp", SizeContext{784})->what, "784-200-200"); }

TEST(Catalog, UnknownNamesListTheKnownOnes) {
  EXPECT_EQ(message_of([] { encoders().get("conv"); }), "unknown encoder 'conv', expected one of linear, mlp");
  EXPECT_EQ(message_of([] { encoders().get("mpl"); }), "unknown encoder 'mpl', did you mean 'mlp'? Known: linear, mlp");
  EXPECT_EQ(message_of([] { encoders().make("lineer", SizeContext{}); }),
            "unknown encoder 'lineer', did you mean 'linear'? Known: linear, mlp");
  EXPECT_EQ(message_of([] { Catalog<Thing>("flow").get("x"); }), "unknown flow 'x', expected one of none");
}

TEST(Catalog, NamesAreTakenOnce) {
  auto copy = encoders();
  EXPECT_EQ(message_of([&] { copy.add("mlp", "", make_linear); }), "the encoder 'mlp' is in its catalog already");
  EXPECT_EQ(copy.make("mlp", SizeContext{1})->what, "1-200-200");  // and the first stays
  EXPECT_EQ(message_of([&] { copy.add("", "", make_linear); }), "a component of the catalog 'encoder' has no name");
  EXPECT_EQ(message_of([&] { copy.shorthand("conv", "x"); }), "unknown encoder 'conv', expected one of linear, mlp");
}

TEST(Catalog, TakesCallablesAndUsersComponents) {
  auto copy = encoders();
  copy.add<MlpConfig>("wide", "", [](const MlpConfig& config, const SizeContext& context) {
    MlpConfig wide = config;
    wide.hidden = {4096};
    return make_mlp(wide, context);
  });
  EXPECT_EQ(copy.names(), (std::vector<std::string>{"linear", "mlp", "wide"}));
  EXPECT_EQ(copy.make("wide", SizeContext{2})->what, "2-4096");
  EXPECT_EQ(encoders().find("wide"), nullptr);
}

TEST(Catalog, PassesReferencesThrough) {
  struct Counter {
    int made = 0;
  };
  Catalog<Thing, Counter&, int> catalog("thing");
  catalog.add<NoConfig>("x", "", [](const NoConfig&, Counter& counter, int by) {
    counter.made += by;
    return std::make_shared<Thing>();
  });
  Counter counter;
  catalog.make("x", counter, 3);
  EXPECT_EQ(counter.made, 3);
}

}  // namespace
}  // namespace catalog_test
