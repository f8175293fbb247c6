#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace elbo {

/// `automatic`: a bar when standard error is a terminal and the log level is info or below, sparse lines when it is no terminal.
enum class ProgressStyle { automatic, bar, lines, quiet };

/// Where a Progress writes and what time it is; the defaults are standard error and the steady clock. For tests.
struct ProgressOutput {
  std::function<void(std::string_view)> write = {};
  std::function<double()> seconds = {};
  int64_t columns = 0;  // of the terminal; 0 asks it
};

/// A long loop as a person sees it: `label  ━━━━╸━━━━  41 %  1,612 img/s  suffix   12:31 left`.
/// Lines come every tenth of the whole, but at most every ten seconds and at least every five minutes; a bar is redrawn ten times
/// a second at most. A bar's line that is wider than the terminal gets a short bar, then loses the end of the suffix.
class Progress {
 public:
  /// A total of 0 is unknown: the count is shown in place of the bar. `unit` is what the rate counts ("img").
  Progress(std::string label, int64_t total, std::string unit, ProgressStyle style = ProgressStyle::automatic,
           ProgressOutput output = {});
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void set_label(std::string label) { label_ = std::move(label); }
  /// `done` counts from the start of the whole; the first call sets where this run began. `seconds_left` replaces our own
  /// estimate.
  void update(int64_t done, std::string_view suffix = {}, std::optional<double> seconds_left = std::nullopt);
  /// The last line, with the time taken; further calls do nothing.
  void finish(std::string_view suffix = {});

 private:
  std::string head(int64_t bar_cells) const;
  std::string line(std::string_view suffix, std::string_view tail) const;
  int64_t columns() const;
  void draw(const std::string& text_line);
  double rate() const;

  std::string label_;
  int64_t total_;
  std::string unit_;
  ProgressStyle style_;
  ProgressOutput output_;
  double started_;
  double last_shown_;
  int64_t done_ = 0;
  std::optional<int64_t> first_done_ = {};
  int64_t last_shown_done_ = 0;
  bool finished_ = false;
};

}  // namespace elbo
