#include <malloc.h>

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <new>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"
#include "elbo/base/version.h"
#include "elbo/program.h"

namespace elbo {
namespace {

const std::vector<Command>& commands() {
  static const std::vector<Command> table = {
      {"train", "train the experiment of a YAML file", run_train},
      {"sweep", "train a grid of settings for several seeds; one table", run_sweep},
      {"evaluate", "measure a run: bound, log-likelihood, active units, …", run_evaluate},
      {"sample", "draw new data from a run's model, as a picture or an npz", run_sample},
      {"reconstruct", "show data beside its reconstructions", run_reconstruct},
      {"traverse", "show what the units of a code mean, one moved at a time", run_traverse},
      {"encode", "write the codes of a split as an npz", run_encode},
      {"compress", "turn images into a small file of codes", run_compress},
      {"decompress", "turn such a file into images again", run_decompress},
      {"report", "one HTML page about a run, or several side by side", run_report},
      {"import", "make a run of a config and of weights from elsewhere", run_import},
      {"config", "print a config with every default filled in", run_config},
      {"list", "list the components of every axis, or of one", run_list},
      {"describe", "explain one component: source, options, defaults", run_describe},
      {"info", "what a run is: config, checkpoints, last numbers", run_info},
      {"doctor", "what this machine and this build can do", run_doctor},
  };
  return table;
}

void print_help() {
  std::cout << "elbo " << version() << ": deep generative models from the command line\n\nUsage: elbo COMMAND ...\n\n";
  for (const auto& command : commands()) {
    std::cout << "  " << command.name << std::string(13 - command.name.size(), ' ') << command.summary << "\n";
  }
  std::cout << "\nelbo COMMAND --help tells more of each.\n\nExamples:\n"
               "  elbo train configs/fashion_mnist/vae.yaml\n"
               "  elbo evaluate runs/fashion_mnist/vae/... --metrics elbo,log_likelihood --samples 1000\n"
               "  elbo sample runs/fashion_mnist/vae/... --out samples.png\n";
}

int dispatch(const std::vector<std::string>& words) {
  if (words.size() == 2 && words[0] == "help") return dispatch({words[1], "--help"});
  if (words.empty() || words[0] == "--help" || words[0] == "-h" || words[0] == "help") {
    print_help();
    return words.empty() ? 1 : 0;
  }
  if (words[0] == "--version" || words[0] == "version") {
    std::cout << "elbo " << version() << "\n";
    return 0;
  }
  std::vector<std::string> names;
  for (const auto& command : commands()) {
    if (command.name == words[0]) return command.run({words.begin() + 1, words.end()});
    names.push_back(command.name);
  }
  throw UsageError("no command " + in_quotes(words[0]) + did_you_mean(words[0], names, "see elbo --help"));
}

}  // namespace

int run_program(int argc, const char* const* argv) {
  // Freed activations are used again in the next step: keep them instead of returning them to the system each time.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  try {
    const int code = dispatch({argv + 1, argv + argc});
    if (!std::cout.flush()) throw UsageError("standard output: not all of the result could be written (is the disk full?)");
    return code;
  } catch (const Error& error) {
    log_error(error.what());
    return error.exit_code();
  } catch (const c10::Error& error) {
    log_error(text("LibTorch: ", error.what_without_backtrace()));
  } catch (const std::bad_alloc&) {
    log_error("out of memory: take a smaller batch, fewer samples or a smaller model");
  } catch (const std::filesystem::filesystem_error& error) {
    log_error(text(error.path1().string(), ": ", error.code().message()));
    constexpr int kRunFolderError = 4;
    return kRunFolderError;
  } catch (const std::exception& error) {
    log_error(error.what());
  }
  return 1;
}

}  // namespace elbo
