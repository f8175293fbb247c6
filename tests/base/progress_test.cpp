#include "elbo/base/progress.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace progress_test {
namespace {
using namespace elbo;

struct Screen {
  std::string shown = {};
  double now = 100;
  ProgressOutput output(int64_t columns = 200) {
    return {.write = [this](std::string_view bytes) { shown += bytes; }, .seconds = [this] { return now; }, .columns = columns};
  }
};

TEST(Progress, LinesSayPercentRateAndTimeLeft) {
  Screen screen;
  Progress progress("epoch 12/50", 1000, "img", ProgressStyle::lines, screen.output());
  progress.update(0);
  screen.now += 20;
  progress.update(410, "bound -232.41");
  EXPECT_EQ(screen.shown, "epoch 12/50   41 %  21 img/s  bound -232.41   0:29 left\n");
  screen.shown.clear();
  screen.now += 1;
  progress.update(990);  // too soon after the last line
  EXPECT_EQ(screen.shown, "");
  screen.now += 29;
  progress.update(1000);
  progress.finish("bound -230.00");
  progress.finish("twice");
  EXPECT_EQ(screen.shown,
            "epoch 12/50  100 %  20 img/s   0:00 left\n"
            "epoch 12/50  100 %  20 img/s  bound -230.00   took 0:50\n");
}

TEST(Progress, LinesAreSparse) {
  Screen screen;
  Progress progress("fit", 100'000, "img", ProgressStyle::lines, screen.output());
  int64_t done = 0;
  for (int second = 0; second < 1000; ++second) {  // a tenth takes 100 s
    screen.now += 1;
    progress.update(done += 100);
  }
  EXPECT_EQ(std::count(screen.shown.begin(), screen.shown.end(), '\n'), 9);  // the first update is where the count begins
  screen.shown.clear();
  Progress slow("fit", 1'000'000'000, "img", ProgressStyle::lines, screen.output());
  for (int second = 0; second < 1000; ++second) {
    screen.now += 1;
    slow.update(second);
  }
  EXPECT_EQ(std::count(screen.shown.begin(), screen.shown.end(), '\n'), 3);  // every five minutes
}

TEST(Progress, RateCountsFromWhereTheRunBegan) {
  Screen screen;
  Progress progress("resumed", 1000, "step", ProgressStyle::lines, screen.output());
  progress.update(500);
  screen.now += 50;
  progress.update(600);
  EXPECT_EQ(screen.shown, "resumed   60 %  2 step/s   3:20 left\n");
}

TEST(Progress, TimeLeftCanBeGiven) {
  Screen screen;
  Progress progress("epoch", 100, "img", ProgressStyle::lines, screen.output());
  progress.update(0);
  screen.now += 10;
  progress.update(50, "", 751);
  EXPECT_EQ(screen.shown, "epoch   50 %  5 img/s   12:31 left\n");
}

TEST(Progress, UnknownTotalShowsTheCount) {
  Screen screen;
  Progress progress("reading", 0, "file", ProgressStyle::lines, screen.output());
  progress.update(0);
  screen.now += 10;
  progress.update(12'345);
  EXPECT_EQ(screen.shown, "reading  12,345  1,235 file/s\n");
}

TEST(Progress, BarIsRedrawnInPlaceAtMostTenTimesASecond) {
  Screen screen;
  Progress progress("a", 100, "img", ProgressStyle::bar, screen.output());
  screen.now += 1;
  progress.update(0);
  screen.shown.clear();
  screen.now += 0.05;
  progress.update(10);
  EXPECT_EQ(screen.shown, "");
  screen.now += 0.95;
  progress.update(50);
  std::string bar;
  for (int i = 0; i < 14; ++i) bar += "━";
  EXPECT_EQ(screen.shown, "\r\x1b[Ka  \x1b[36m" + bar + "\x1b[0;2m" + bar + "\x1b[0m   50 %  25 img/s   0:02 left");
  screen.shown.clear();
  progress.finish();
  EXPECT_TRUE(screen.shown.ends_with("took 0:02\n")) << screen.shown;
  EXPECT_TRUE(screen.shown.starts_with("\r\x1b[K"));
}

TEST(Progress, BarHasAHalfCellAndKeepsItsWidth) {
  for (const int64_t done : {0, 1, 17, 33, 50, 99, 100, 150}) {
    Screen screen;
    Progress progress("a", 100, "img", ProgressStyle::bar, screen.output());
    screen.now += 0.05;
    progress.update(done);  // not shown yet
    screen.shown.clear();
    progress.finish();
    const auto line = screen.shown.substr(4, screen.shown.size() - 5);
    EXPECT_EQ(display_width(line.substr(0, line.find('%'))), 1 + 2 + 28 + 2 + 4) << done << line;
  }
}

TEST(Progress, BarIsCutToTheTerminal) {
  Screen screen;
  Progress progress("a", 100, "img", ProgressStyle::bar, screen.output(40));
  screen.now += 1;
  progress.update(50, "a long suffix that can't fit on the line");
  EXPECT_EQ(display_width(screen.shown.substr(4)), 40);
  EXPECT_EQ(find_invalid_utf8(screen.shown), std::nullopt);
}

TEST(Progress, TheTimeLeftIsSeenOnEightyColumns) {
  const std::vector<std::pair<std::string, std::string>> ends = {
      {"bound -232.41", "  1,612 img/s  bound -232.41   12:31 left"},  // with a short bar
      {"bound -232.41  reconstruction -208.11  kl 24.30", "  1,612 img/s   12:31 left  bound -232.41  reconstru\x1b[0m"},
  };
  std::string bar = "\x1b[36m";
  for (int i = 0; i < 4; ++i) bar += "━";
  bar += "\x1b[0;2m";
  for (int i = 0; i < 4; ++i) bar += "━";
  for (const auto& [suffix, end] : ends) {
    Screen screen;
    Progress progress("epoch 12/50", 16'120, "img", ProgressStyle::bar, screen.output(80));
    progress.update(0);
    screen.now += 5;
    progress.update(8'060, suffix, 751);
    EXPECT_EQ(screen.shown, "\r\x1b[Kepoch 12/50  " + bar + "\x1b[0m   50 %" + end);
    EXPECT_LE(display_width(screen.shown.substr(4)), 80);
  }
}

TEST(Progress, QuietWritesNothing) {
  Screen screen;
  {
    Progress progress("a", 100, "img", ProgressStyle::quiet, screen.output());
    screen.now += 1000;
    progress.update(50);
    progress.finish();
  }
  set_log_level(LogLevel::warn);
  {
    Progress progress("a", 100, "img", ProgressStyle::automatic, screen.output());
    screen.now += 1000;
    progress.update(50);
    progress.finish();
  }
  set_log_level(LogLevel::info);
  EXPECT_EQ(screen.shown, "");
}

TEST(Progress, LeavesTheBarsLineWhenAbandoned) {
  Screen screen;
  {
    Progress progress("a", 100, "img", ProgressStyle::bar, screen.output());
    screen.now += 1;
    progress.update(50);
    screen.shown.clear();
  }
  EXPECT_EQ(screen.shown, "\n");
}

}  // namespace
}  // namespace progress_test
