#pragma once
#include <cxxopts.hpp>
#include <optional>
#include <string>
#include <vector>

#include "elbo/experiment/experiment.h"

namespace elbo {

/// A subcommand: its words after the name are parsed by its own options.
struct Command {
  std::string name = {};
  std::string summary = {};
  int (*run)(const std::vector<std::string>& words) = nullptr;
};

// One file a subcommand.
int run_train(const std::vector<std::string>& words);
int run_sweep(const std::vector<std::string>& words);
int run_evaluate(const std::vector<std::string>& words);
int run_sample(const std::vector<std::string>& words);
int run_reconstruct(const std::vector<std::string>& words);
int run_list(const std::vector<std::string>& words);
int run_describe(const std::vector<std::string>& words);
int run_import(const std::vector<std::string>& words);
int run_config(const std::vector<std::string>& words);
int run_traverse(const std::vector<std::string>& words);
int run_encode(const std::vector<std::string>& words);
int run_compress(const std::vector<std::string>& words);
int run_decompress(const std::vector<std::string>& words);
int run_report(const std::vector<std::string>& words);
int run_info(const std::vector<std::string>& words);
int run_doctor(const std::vector<std::string>& words);

/// The options of one subcommand: declared, parsed, and `--help` printed with examples.
class CommandLine {
 public:
  /// `usage` is what follows "elbo NAME ", `examples` whole lines.
  CommandLine(std::string name, std::string about, std::string usage, std::vector<std::string> examples);
  cxxopts::OptionAdder add(const std::string& group = "") { return options_.add_options(group); }
  /// --device, --threads, --data-root.
  void add_runtime();
  /// Words without a dash, at least `low` and at most `high` of them. False: help was asked for and printed.
  /// Throws: UsageError that points to --help.
  bool parse(const std::vector<std::string>& words, size_t low, size_t high);

  const std::vector<std::string>& positional() const { return positional_; }
  bool has(const std::string& option) const { return result_.count(option) > 0; }
  template <class T>
  T get(const std::string& option) const {
    return result_[option].as<T>();
  }
  template <class T>
  std::optional<T> find(const std::string& option) const {
    return has(option) ? std::optional<T>(get<T>(option)) : std::nullopt;
  }
  /// An integer option held to a range. Throws: UsageError.
  int64_t integer(const std::string& option, int64_t low, int64_t high) const;
  /// Sets the number of threads and resolves the device.
  Runtime runtime() const;

 private:
  std::string name_;
  std::string usage_;
  std::vector<std::string> examples_;
  cxxopts::Options options_;
  cxxopts::ParseResult result_ = {};
  std::vector<std::string> positional_ = {};
};

/// Writes to a file atomically, or to standard output where the path is "-".
void write_output(const std::string& path, const std::string& text);

/// ".png" of "a/B.PNG".
std::string ending(const std::filesystem::path& path);

/// The split of --split. Throws: UsageError.
Split split_named(const std::string& name, const std::string& where = "--split");

/// "cpu, 2 threads" or "cuda:0".
std::string device_text(at::Device device);

}  // namespace elbo
