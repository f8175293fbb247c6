#include "elbo/evaluation/report.h"

#include <gmock/gmock.h>

#include <cmath>
#include <set>

#include "../../src/evaluation/report_parts.h"
#include "elbo/base/error.h"
#include "elbo/io/png.h"

using namespace elbo;
using ::testing::HasSubstr;
using ::testing::Not;

namespace report_test {

RunReport example(const std::string& title, double bound = -239.77765) {
  RunReport run{.title = title, .folder = "runs/a&b", .status = "trained to step 20, epoch 2"};
  run.facts = {{"model", "vae"}, {"parameters", "1,234"}};
  run.environment = {{"written by", "elbo 0.1.0"}};
  run.config = {{"name", title}, {"objective.beta", "1"}, {"seed", "3"}};
  run.log.series = {{"train", "bound", {{5, -400}, {10, -300}, {20, NAN}}},
                    {"valid", "bound", {{10, -290}, {20, bound}}},
                    {"train", "steps_per_second", {{5, 11}, {10, 12}}}};
  run.log.units = {{"z", {0.002, 2.5, 0.7}, {0.0001, 0.9, 0.4}}};
  run.log.units_step = 20;
  run.log.problems = {"metrics.jsonl:7: left out: no integer 'step'"};
  run.evaluations = {
      {"evaluation.json", Json::parse(R"({"run":"r","checkpoint":"step-20","split":"test","num_examples":180,"samples":50,
      "seed":0,"weights_sha256":"0123456789abcdef","metrics":{"log_likelihood_nats":-88.25,"log_likelihood_standard_error_nats":0.5,
      "active_units":2},"notes":{"log_likelihood_nats":"a lower bound <in expectation>"}})")}};
  const auto png = encode_png({.width = 3, .height = 2, .channels = 1, .pixels = std::vector<uint8_t>(6, 7)});
  run.samples = {{"step 10", "samples <early>", png}, {"step 20", "samples \"late\"", png}};
  run.traversals = {{"units 1, 2", "traversal", png}};
  return run;
}

std::string page(const std::vector<RunReport>& runs) { return report_html(runs, "Written today."); }

TEST(Report, HoldsTheNumbersOfARun) {
  const auto html = page({example("digits/vae")});
  for (const auto* words : {"<h1>digits/vae</h1>", "-239.778", "log likelihood (nats)", "-88.25",
                            "test, K = 50, ±\u00a0"
                            "0.5",
                            "1,234", "2 of 3 units active", "180 examples", "weights 0123456789ab", "objective.beta",
                            "steps per second", "metrics.jsonl:7: left out: no integer &#39;step&#39;", "data:image/png;base64,",
                            "Written today.", "width=\"3\" height=\"2\" alt=\"samples &quot;late&quot;\""}) {
    EXPECT_THAT(html, HasSubstr(words));
  }
}

TEST(Report, EscapesWhatRunsBringAlong) {
  auto run = example("a<script>alert('x')</script>&\"b\"");
  run.config.emplace_back("<k>", "<v> & \"w\"");
  run.remarks = {"<img src=x onerror=y>"};
  run.log.series.push_back({"valid", "<b>bold</b>", {{1, 2}}});
  run.log.units[0].layer = "z<1>";
  const auto html = page({run});
  for (const auto* words : {"<script", "<img src=x", "<k>", "<v>", "<b>bold", "z<1>", "<early>", "<in expectation>"}) {
    EXPECT_THAT(html, Not(HasSubstr(words)));
  }
  EXPECT_THAT(html, HasSubstr("a&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&amp;&quot;b&quot;"));
}

TEST(Report, NeedsNothingFromOutside) {
  const auto html = page({example("a"), example("b")});
  for (const auto* words : {"http:", "https:", "<script", "<link", "@import", "src=\"/", "url(/"})
    EXPECT_THAT(html, Not(HasSubstr(words)));
}

TEST(Report, TagsAreBalancedAndIdsUnique) {
  for (const auto& runs :
       {std::vector{example("a")}, std::vector{example("a"), example("b")}, std::vector{RunReport{.title = "empty"}}}) {
    const auto html = page(runs);
    static const std::set<std::string> kVoid = {"meta", "img", "br", "!DOCTYPE"};
    std::vector<std::string> open;
    std::set<std::string> ids;
    for (size_t at = html.find('<'); at != std::string::npos; at = html.find('<', at + 1)) {
      const auto end = html.find('>', at);
      ASSERT_NE(end, std::string::npos);
      const auto tag = html.substr(at + 1, end - at - 1);
      if (const auto id = tag.find(" id=\""); id != std::string::npos) {
        EXPECT_TRUE(ids.insert(tag.substr(id, tag.find('"', id + 5) - id)).second) << tag;
      }
      const auto name = tag.substr(0, tag.find_first_of(" /", 1));
      if (tag.starts_with('/')) {
        ASSERT_FALSE(open.empty()) << tag;
        EXPECT_EQ("/" + open.back(), name);
        open.pop_back();
      } else if (!tag.ends_with('/') && !kVoid.contains(name)) {
        open.push_back(name);
      }
    }
    EXPECT_TRUE(open.empty()) << open.back();
  }
}

TEST(Report, PutsRunsSideBySideAndMarksWhatDiffers) {
  auto other = example("beta", -100.5);
  other.config[1].second = "4";
  other.config.emplace_back("extra", "yes");
  const auto html = page({example("plain"), other});
  EXPECT_THAT(html, HasSubstr("<h1>2 runs side by side</h1>"));
  EXPECT_THAT(html, HasSubstr("<td class=\"num\">-239.778</td><td class=\"num best\">-100.5</td>"));
  EXPECT_THAT(html, HasSubstr("3 keys that differ"));
  EXPECT_THAT(html, HasSubstr("<tr class=\"diff\"><th scope=\"row\">≠ objective.beta</th><td>1</td><td>4</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<tr class=\"diff\"><th scope=\"row\">≠ extra</th><td>–</td><td>yes</td></tr>"));
  EXPECT_THAT(html, HasSubstr("<tr><th scope=\"row\">seed</th><td>3</td><td>3</td></tr>"));
}

TEST(Report, OfARunThatHasNothingYetSaysSo) {
  const auto html = page({{.title = "young", .folder = "runs/young"}});
  EXPECT_THAT(html, HasSubstr("Nothing has been logged yet."));
  EXPECT_THAT(html, Not(HasSubstr("<h2 id=\"samples\">")));
  EXPECT_THROW(page({}), UsageError);
}

TEST(ReportParts, NumbersHaveSixDigits) {
  EXPECT_EQ(elbo::detail::six_digits(-239.7776542877197), "-239.778");
  EXPECT_EQ(elbo::detail::six_digits(0.0001), "0.0001");
  EXPECT_EQ(elbo::detail::six_digits(1.25e-7), "1.25e-7");
  EXPECT_EQ(elbo::detail::six_digits(1234567), "1,234,567");
  EXPECT_EQ(elbo::detail::six_digits(NAN), "not finite");
  EXPECT_EQ(elbo::detail::axis_number(12000), "12k");
  EXPECT_EQ(elbo::detail::axis_number(2.5e6), "2.5M");
  EXPECT_EQ(elbo::detail::axis_number(-0.002), "-0.002");
}

TEST(ReportParts, Base64IsThatOfRfc4648) {
  EXPECT_EQ(elbo::detail::base64(""), "");
  EXPECT_EQ(elbo::detail::base64("f"), "Zg==");
  EXPECT_EQ(elbo::detail::base64("fo"), "Zm8=");
  EXPECT_EQ(elbo::detail::base64("foo"), "Zm9v");
  EXPECT_EQ(elbo::detail::base64("foobar"), "Zm9vYmFy");
  EXPECT_EQ(elbo::detail::base64(std::string("\xff\xfe\xfd", 3)), "//79");
}

TEST(ReportParts, BytesThatAreNoTextBecomeReplacements) {
  EXPECT_EQ(elbo::detail::escaped("a\x01"
                                  "b\xff"
                                  "ü€"),
            "a\xEF\xBF\xBD"
            "b\xEF\xBF\xBD"
            "ü€");
}

/// The numbers after each occurrence of `key` in an SVG.
std::vector<double> numbers_after(const std::string& svg, const std::string& key) {
  std::vector<double> found;
  for (size_t at = svg.find(key); at != std::string::npos; at = svg.find(key, at + 1))
    found.push_back(std::stod(svg.substr(at + key.size())));
  return found;
}

TEST(ReportParts, ACurveRunsFromLeftToRightAndUpwards) {
  const LoggedSeries rising{"valid", "bound", {{0, 1}, {50, 2}, {100, 3}}};
  const auto svg = elbo::detail::chart_svg(
      {.title = "bound", .one_run = true, .lines = {{.run = 0, .label = "valid", .is_valid = true, .series = &rising}}});
  const auto squares = numbers_after(svg, "<rect class=\"m c1\" x=\"");
  ASSERT_EQ(squares.size(), 3u);  // one run's validation is drawn in the second colour, whose marks are squares
  EXPECT_NEAR(squares[1] - squares[0], squares[2] - squares[1], 0.2);
  EXPECT_LT(squares[0], squares[2]);
  EXPECT_THAT(svg, HasSubstr("valid from 1 at step 0 to 3 at step 100"));
  EXPECT_THAT(svg, HasSubstr("<title>valid, step 50: 2</title>"));
}

TEST(ReportParts, ACurveBreaksWhereItIsNotFinite) {
  const LoggedSeries broken{"train", "kl", {{0, 1}, {1, 2}, {2, NAN}, {3, 2}, {4, 1}}};
  const auto svg = elbo::detail::chart_svg({.title = "kl", .lines = {{.run = 0, .label = "train", .series = &broken}}});
  const auto at = svg.find("<path class=\"t c0\" d=\"") + 22;
  const auto path = svg.substr(at, svg.find('"', at) - at);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'M'), 2);
  EXPECT_EQ(std::count(path.begin(), path.end(), 'L'), 2);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(ReportParts, UnitsAreSortedAndTheInactiveGrey) {
  const auto svg = elbo::detail::units_svg({"z", {0.002, 2.5, 0.7}, {0.0001, 0.9, 0.4}}, 2);
  const auto first = svg.find("unit 1: KL 2.5 nats, variance of means 0.9, active"), second = svg.find("unit 2: KL 0.7"),
             third = svg.find("unit 0: KL 0.002 nats, variance of means 0.0001, not active");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_NE(third, std::string::npos);
  EXPECT_EQ(numbers_after(svg, "class=\"b c").size(), 2u);
  EXPECT_THAT(svg, HasSubstr("class=\"b off\""));
}

}  // namespace report_test
