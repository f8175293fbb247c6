#include <iostream>

#include "command.h"
#include "elbo/config/dump.h"
#include "elbo/config/yaml.h"

namespace elbo {

int run_config(const std::vector<std::string>& words) {
  CommandLine line(
      "config", "Checks a config and prints it with every default filled in and every key explained.", "CONFIG.yaml",
      {"elbo config configs/digits/vae.yaml", "elbo config configs/digits/vae.yaml --set objective.beta=4 --no-comments"});
  line.add()("set", "KEY=VALUE, on top of the file; may be given again", cxxopts::value<std::vector<std::string>>());
  line.add()("no-comments", "keys and values only");
  if (!line.parse(words, 1, 1)) return 0;
  const auto config =
      load_experiment(line.positional()[0], line.find<std::vector<std::string>>("set").value_or(std::vector<std::string>{}));
  std::cout << to_yaml(dump_config(config), line.has("no-comments") ? YamlComments::leave_out : YamlComments::write);
  return 0;
}

}  // namespace elbo
