#include "elbo/training/config.h"

namespace elbo {

void TrainingConfig::check(Relations& relations) const {
  if (epochs && steps) relations.problem("steps", "epochs is given too; give exactly one of epochs and steps");
  if (!epochs && !steps) relations.problem("epochs", "neither epochs nor steps is given; give exactly one of them");
  if (monitor.empty() || monitor == "-")
    relations.problem("monitor", "expected the name of an evaluated value, such as valid/bound, or none");
  if (!chooses_best() && early_stopping.patience > 0)
    relations.problem("early_stopping", "nothing is monitored (monitor: none) that could stop rising");
}

}  // namespace elbo
