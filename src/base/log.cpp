#include "elbo/base/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "elbo/base/error.h"

namespace elbo {

namespace {

struct Log {
  std::mutex mutex = {};
  LogLevel level = LogLevel::info;
  std::shared_ptr<spdlog::sinks::basic_file_sink_st> file = {};
  std::set<std::string, std::less<>> seen = {};
  bool bar_on_screen = false;
};

Log& state() {
  static Log* const kept = new Log;  // never destroyed: destructors of other statics may log
  return *kept;
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
  switch (level) {
    case LogLevel::debug:
      return spdlog::level::debug;
    case LogLevel::info:
      return spdlog::level::info;
    case LogLevel::warn:
      return spdlog::level::warn;
    case LogLevel::error:
      return spdlog::level::err;
    case LogLevel::off:
      break;
  }
  return spdlog::level::off;
}

std::string_view prefix(LogLevel level) {
  if (level == LogLevel::warn) return "warning: ";
  if (level == LogLevel::error) return "error: ";
  return "";
}

void write(LogLevel level, std::string_view message) {
  Log& log = state();
  const std::lock_guard lock(log.mutex);
  if (log.file) {
    try {
      log.file->log(spdlog::details::log_msg("elbo", spdlog_level(level), {message.data(), message.size()}));
      log.file->flush();
    } catch (const spdlog::spdlog_ex& error) {  // a full disk must not stop the run for want of a log line
      log.file.reset();
      std::fprintf(stderr, "warning: the log file can't be written (%s) and is given up\n", error.what());
    }
  }
  if (level < log.level) return;
  const std::string line =
      std::string(log.bar_on_screen ? "\r\x1b[K" : "") + std::string(prefix(level)) + std::string(message) + "\n";
  log.bar_on_screen = false;
  std::fwrite(line.data(), 1, line.size(), stderr);
  std::fflush(stderr);
}

}  // namespace

void log_debug(std::string_view message) { write(LogLevel::debug, message); }
void log_info(std::string_view message) { write(LogLevel::info, message); }
void log_warn(std::string_view message) { write(LogLevel::warn, message); }
void log_error(std::string_view message) { write(LogLevel::error, message); }

void log_once(std::string_view key, std::string_view message) {
  {
    const std::lock_guard lock(state().mutex);
    if (!state().seen.emplace(key).second) return;
  }
  log_warn(message);
}

void set_log_level(LogLevel level) {
  const std::lock_guard lock(state().mutex);
  state().level = level;
}

LogLevel log_level() {
  const std::lock_guard lock(state().mutex);
  return state().level;
}

void add_log_file(const std::filesystem::path& path) {
  std::shared_ptr<spdlog::sinks::basic_file_sink_st> file;
  try {
    file = std::make_shared<spdlog::sinks::basic_file_sink_st>(path.string(), false);
  } catch (const spdlog::spdlog_ex& error) {
    throw CheckpointError(path.string() + ": the log can't be written: " + error.what());
  }
  file->set_formatter(std::make_unique<spdlog::pattern_formatter>("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc));
  const std::lock_guard lock(state().mutex);
  state().file = std::move(file);
}

void remove_log_file() {
  const std::lock_guard lock(state().mutex);
  state().file.reset();
}

namespace detail {
void set_bar_on_screen(bool shown) {
  const std::lock_guard lock(state().mutex);
  state().bar_on_screen = shown;
}
}  // namespace detail

}  // namespace elbo
