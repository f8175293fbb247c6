#include "elbo/base/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>

#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {

namespace {

constexpr double kSecondsBetweenFrames = 0.1;
constexpr double kSecondsBetweenLines = 10.0;
constexpr double kLongestSilence = 300.0;
constexpr int64_t kBarCells = 28;
constexpr int64_t kShortBarCells = 8;

ProgressStyle resolve(ProgressStyle style) {
  if (style != ProgressStyle::automatic) return style;
  if (log_level() > LogLevel::info) return ProgressStyle::quiet;
  return isatty(STDERR_FILENO) != 0 ? ProgressStyle::bar : ProgressStyle::lines;
}

int64_t terminal_columns() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 80;
  return size.ws_col;
}

/// Cut to the terminal's width: a wrapped line could not be redrawn.
std::string fit(std::string_view line, int64_t columns) {
  if (display_width(line) <= columns) return std::string(line);
  std::string out;
  int64_t width = 0;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] == '\x1b') {
      const size_t end = std::min(line.find('m', i), line.size() - 1);
      out += line.substr(i, end - i + 1);
      i = end;
      continue;
    }
    const bool starts_character = (static_cast<unsigned char>(line[i]) & 0xC0) != 0x80;
    if (starts_character && ++width > columns) break;
    out += line[i];
  }
  return out + "\x1b[0m";
}

/// Done cells are bright, the rest dim, with a half cell at the front.
std::string bar_of(double fraction, int64_t cells) {
  const auto halves = static_cast<int64_t>(std::floor(std::clamp(fraction, 0.0, 1.0) * static_cast<double>(2 * cells)));
  std::string out = "\x1b[36m";
  for (int64_t i = 0; i < halves / 2; ++i) out += "━";
  if (halves % 2 != 0) out += "╸";
  out += "\x1b[0;2m";
  for (int64_t i = (halves + 1) / 2; i < cells; ++i) out += "━";
  return out + "\x1b[0m";
}

}  // namespace

Progress::Progress(std::string label, int64_t total, std::string unit, ProgressStyle style, ProgressOutput output)
    : label_(std::move(label)), total_(total), unit_(std::move(unit)), style_(resolve(style)), output_(std::move(output)) {
  if (!output_.write) {
    output_.write = [](std::string_view bytes) {
      std::fwrite(bytes.data(), 1, bytes.size(), stderr);
      std::fflush(stderr);
    };
  }
  if (!output_.seconds) {
    output_.seconds = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  }
  started_ = output_.seconds();
  last_shown_ = started_;
}

Progress::~Progress() {
  if (finished_ || style_ != ProgressStyle::bar) return;
  try {  // left by an exception: the next message starts on a line of its own
    output_.write("\n");
    detail::set_bar_on_screen(false);
  } catch (...) {
  }
}

double Progress::rate() const {
  const double elapsed = output_.seconds() - started_;
  return elapsed > 0 ? static_cast<double>(done_ - first_done_.value_or(0)) / elapsed : 0.0;
}

std::string Progress::head(int64_t bar_cells) const {
  const double fraction = total_ > 0 ? static_cast<double>(done_) / static_cast<double>(total_) : 0.0;
  std::vector<std::string> parts = {label_};
  if (total_ > 0) {
    const auto percent = std::to_string(static_cast<int64_t>(std::floor(100 * std::clamp(fraction, 0.0, 1.0)))) + " %";
    if (style_ == ProgressStyle::bar) parts.push_back(bar_of(fraction, bar_cells));
    parts.push_back(std::string(percent.size() < 5 ? 5 - percent.size() : 0, ' ') + percent);
  } else {
    parts.push_back(with_commas(done_));
  }
  if (const double per_second = rate(); per_second > 0 && !unit_.empty()) {  // parts of different things have no rate
    const bool slow = per_second < 10;
    const auto number = slow ? shortest(std::round(per_second * 100) / 100) : with_commas(std::llround(per_second));
    parts.push_back(number + " " + unit_ + "/s");
  }
  return join(parts, "  ");
}

int64_t Progress::columns() const { return output_.columns > 0 ? output_.columns : terminal_columns(); }

std::string Progress::line(std::string_view suffix, std::string_view tail) const {
  const std::string values = suffix.empty() ? "" : "  " + std::string(suffix);
  const std::string time = tail.empty() ? "" : "   " + std::string(tail);
  const auto whole = head(kBarCells) + values + time;
  if (style_ != ProgressStyle::bar || display_width(whole) <= columns()) return whole;
  const auto short_head = head(kShortBarCells);
  if (display_width(short_head + values + time) <= columns()) return short_head + values + time;
  return fit(short_head + time + values, columns());
}

void Progress::draw(const std::string& text_line) {
  if (style_ == ProgressStyle::bar) {
    output_.write("\r\x1b[K" + text_line);
    detail::set_bar_on_screen(true);
  } else {
    output_.write(text_line + "\n");
  }
  last_shown_ = output_.seconds();
  last_shown_done_ = done_;
}

void Progress::update(int64_t done, std::string_view suffix, std::optional<double> seconds_left) {
  if (finished_ || style_ == ProgressStyle::quiet) return;
  if (!first_done_) first_done_ = last_shown_done_ = done;
  done_ = done;
  const double now = output_.seconds();
  if (style_ == ProgressStyle::bar) {
    if (now - last_shown_ < kSecondsBetweenFrames) return;
  } else {
    const bool a_tenth_more = total_ <= 0 || 10.0 * static_cast<double>(done - last_shown_done_) >= static_cast<double>(total_);
    if (now - last_shown_ < (a_tenth_more ? kSecondsBetweenLines : kLongestSilence)) return;
  }
  const double per_second = rate();
  if (!seconds_left && total_ > 0 && per_second > 0) seconds_left = static_cast<double>(total_ - done) / per_second;
  draw(line(suffix, seconds_left ? duration(*seconds_left) + " left" : ""));
}

void Progress::finish(std::string_view suffix) {
  if (finished_) return;
  finished_ = true;
  if (style_ == ProgressStyle::quiet) return;
  draw(line(suffix, "took " + duration(output_.seconds() - started_)));
  if (style_ == ProgressStyle::bar) {
    output_.write("\n");
    detail::set_bar_on_screen(false);
  }
}

}  // namespace elbo
