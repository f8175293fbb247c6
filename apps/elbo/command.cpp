#include "command.h"

#include <ATen/Parallel.h>

#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <limits>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/file.h"
#include "elbo/ops/device.h"

namespace elbo {

namespace {

/// " (after --threads)": cxxopts doesn't say to which option the value that it couldn't read belongs.
std::string option_before(const std::vector<std::string>& words, const std::string& problem) {
  for (size_t i = 1; i < words.size(); ++i) {
    if (words[i - 1].starts_with("--") && problem.find("‘" + words[i] + "’") != std::string::npos)
      return " (after " + words[i - 1] + ")";
  }
  return "";
}

}  // namespace

CommandLine::CommandLine(std::string name, std::string about, std::string usage, std::vector<std::string> examples)
    : name_(std::move(name)),
      usage_(std::move(usage)),
      examples_(std::move(examples)),
      options_("elbo " + name_, std::move(about)) {
  options_.custom_help("[options]").positional_help(usage_);
  options_.add_options()("h,help", "this text");
  options_.add_options("hidden")("words", "", cxxopts::value<std::vector<std::string>>());
  options_.parse_positional("words");
}

void CommandLine::add_runtime() {
  options_.add_options()("device", "auto, cpu, cuda or cuda:N", cxxopts::value<std::string>()->default_value("auto"))(
      "threads", "CPU threads; 0 takes all cores (or OMP_NUM_THREADS)", cxxopts::value<int64_t>()->default_value("0"))(
      "data-root", "folder of the data sets; default $ELBO_DATA_ROOT, else ./data", cxxopts::value<std::string>());
}

bool CommandLine::parse(const std::vector<std::string>& words, size_t low, size_t high) {
  std::vector<const char*> argv = {name_.c_str()};
  for (const auto& word : words) argv.push_back(word.c_str());
  try {
    result_ = options_.parse(static_cast<int>(argv.size()), argv.data());
  } catch (const cxxopts::exceptions::exception& error) {
    throw UsageError("elbo " + name_ + ": " + error.what() + option_before(words, error.what()) + "; see elbo " + name_ +
                     " --help");
  }
  if (has("help")) {
    std::cout << options_.help({""});
    if (!examples_.empty()) std::cout << "\nExamples:\n";
    for (const auto& example : examples_) std::cout << "  " << example << "\n";
    return false;
  }
  if (has("words")) positional_ = get<std::vector<std::string>>("words");
  if (positional_.size() < low || positional_.size() > high) {
    const auto expected = low == high ? std::to_string(low) : std::to_string(low) + " to " + std::to_string(high);
    throw UsageError("elbo " + name_ + ": got " + count_of(static_cast<int64_t>(positional_.size()), "argument") + ", expected " +
                     expected + (usage_.empty() ? "" : " (" + usage_ + ")") + "; see elbo " + name_ + " --help");
  }
  for (const auto& word : positional_) {
    if (word.empty()) throw UsageError("elbo " + name_ + ": got an empty argument, expected " + usage_);
  }
  for (const auto& option : result_.arguments()) {
    if (option.key() != "words" && option.value().empty())
      throw UsageError("--" + option.key() + ": got an empty value; see elbo " + name_ + " --help");
  }
  return true;
}

int64_t CommandLine::integer(const std::string& option, int64_t low, int64_t high) const {
  const auto value = get<int64_t>(option);
  if (value < low || value > high) {
    throw UsageError("--" + option + ": got " + std::to_string(value) + ", expected " + std::to_string(low) +
                     (high == std::numeric_limits<int64_t>::max() ? " or more" : " to " + std::to_string(high)));
  }
  return value;
}

Runtime CommandLine::runtime() const {
  const auto threads = integer("threads", 0, 4096);
  if (threads > 0) at::set_num_threads(static_cast<int>(threads));
  Runtime runtime{.device = resolve_device(get<std::string>("device"))};
  const char* root = std::getenv("ELBO_DATA_ROOT");
  if (const auto given = find<std::string>("data-root")) {
    runtime.data_root = *given;
  } else if (root != nullptr && *root != '\0') {
    runtime.data_root = root;
  }
  return runtime;
}

void write_output(const std::string& path, const std::string& text) {
  if (path == "-") {
    std::cout << text << std::flush;
  } else {
    write_atomically(path, text);
  }
}

std::string ending(const std::filesystem::path& path) {
  auto extension = path.extension().string();
  for (auto& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension;
}

Split split_named(const std::string& name, const std::string& where) {
  std::vector<std::string> names;
  for (const auto& [known, split] : enum_names(Split{})) {
    if (known == name) return split;
    names.emplace_back(known);
  }
  throw UsageError(where + ": got " + in_quotes(name) + ", expected " + alternatives(names));
}

std::string device_text(at::Device device) {
  if (!device.is_cpu()) return device.str();
  return "cpu, " + count_of(at::get_num_threads(), "thread");
}

}  // namespace elbo
