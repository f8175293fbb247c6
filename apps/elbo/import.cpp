#include "elbo/experiment/import.h"

#include <iostream>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

Rename rename_of(const std::string& word) {
  const auto equals = word.find('=');
  if (equals == std::string::npos || word.find('=', equals + 1) != std::string::npos)
    throw UsageError("--rename: got " + in_quotes(word) + ", expected FROM=TO such as fc1=encoder.layers.0");
  return {.from = word.substr(0, equals), .to = word.substr(equals + 1)};
}

}  // namespace

int run_import(const std::vector<std::string>& words) {
  CommandLine line("import",
                   "Makes a run of a config and of weights that another program wrote as safetensors, for every other command.",
                   "CONFIG.yaml FILE.safetensors",
                   {"elbo import vae.yaml vae.safetensors --run runs/imported",
                    "elbo import vae.yaml vae.safetensors --run runs/imported --rename fc1=encoder.layers.0",
                    "elbo train vae.yaml --run runs/imported --resume"});
  line.add()("run", "folder of the run to be made", cxxopts::value<std::string>());
  line.add()("rename", "FROM=TO, a part of the names in the file and its name here; may be given again",
             cxxopts::value<std::vector<std::string>>());
  line.add()("partial", "what the file lacks is initialised as the config says, what it has besides is left out");
  line.add()("set", "KEY=VALUE, on top of the config; may be given again", cxxopts::value<std::vector<std::string>>());
  line.add_runtime();
  if (!line.parse(words, 2, 2)) return 0;
  if (!line.has("run")) throw UsageError("elbo import: name the folder of the run to be made with --run");

  ImportRequest request{.weights = line.positional()[1], .run = line.get<std::string>("run")};
  if (line.has("partial")) request.options.fit = ImportFit::partial;
  for (const auto& word : line.find<std::vector<std::string>>("rename").value_or(std::vector<std::string>{}))
    request.options.renames.push_back(rename_of(word));
  const auto config =
      load_experiment(line.positional()[0], line.find<std::vector<std::string>>("set").value_or(std::vector<std::string>{}));
  const auto report = import_run(config, line.runtime(), request);
  if (!report.missing.empty()) log_warn("not in the file, initialised afresh: " + join(report.missing, ", "));
  if (!report.unexpected.empty()) log_warn("in the file only, left out: " + join(report.unexpected, ", "));
  std::cerr << count_of(static_cast<int64_t>(report.loaded.size()), "tensor") << " in " << request.run.string() << "\n";
  return 0;
}

}  // namespace elbo
