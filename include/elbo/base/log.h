#pragma once
#include <filesystem>
#include <string_view>

namespace elbo {

enum class LogLevel { debug, info, warn, error, off };

/// Messages to standard error (warnings and errors say which they are) and, with its time, to the log file if there is one.
void log_debug(std::string_view message);
void log_info(std::string_view message);
void log_warn(std::string_view message);
void log_error(std::string_view message);

/// A warning that appears once a process for each key, however often it is asked for.
void log_once(std::string_view key, std::string_view message);

/// What standard error shows; the log file always holds debug and above. The first level is info.
void set_log_level(LogLevel level);
LogLevel log_level();

/// Appends every message to this file too, flushed line by line; replaces an earlier file.
/// Throws: CheckpointError when the file can't be opened.
void add_log_file(const std::filesystem::path& path);
void remove_log_file();

namespace detail {
/// A progress bar stands on the terminal's last line: the next message erases it first.
void set_bar_on_screen(bool shown);
}  // namespace detail

}  // namespace elbo
