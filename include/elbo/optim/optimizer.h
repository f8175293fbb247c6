#pragma once
#include "elbo/config/catalog.h"
#include "elbo/config/choice.h"
#include "elbo/math/scheduled.h"
#include "elbo/optim/flat_buffer.h"

namespace elbo {

/// State of an optimiser that a checkpoint holds, by the optimiser's own name for it ("exp_avg"): one tensor for every segment,
/// laid out like it, or a 0-dim tensor for every segment ("step").
struct OptimizerState {
  std::string name = {};
  std::vector<Tensor> segments = {};
};

/// Updates flat segments from their gradients.
class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// One update. Where found_inf (0-dim float32 on the device) is 1 nothing changes, to the bit, the state included.
  virtual void step(const Tensor& found_inf) = 0;
  /// Handles on the live state; empty for an optimiser without any.
  virtual std::vector<OptimizerState> state() = 0;
  /// Numbers that the caller refills before each step.
  virtual std::vector<Scheduled> scheduled() = 0;
};

/// What building an optimiser needs besides its own options.
struct OptimizerContext {
  std::vector<FlatSegment> segments = {};
};

/// The axis `optimizer`: adam, adamw, sgd.
Catalog<Optimizer, const OptimizerContext&>& optimizers();
using OptimizerChoice = Choice<Optimizer, const OptimizerContext&>;

/// Source: Kingma & Ba 2015 (arXiv:1412.6980), algorithm 1, as PyTorch computes it; weight decay is added to the gradient.
struct AdamConfig {
  ScheduledNumber learning_rate = scheduled_number(1e-3);
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("beta1", beta1, "decay of the running mean of gradients", at_least(0).below(1));
    field("beta2", beta2, "decay of the running mean of squared gradients", at_least(0).below(1));
    field("epsilon", epsilon, "added to the root of the second moment", more_than(0));
    field("weight_decay", weight_decay, "L2 penalty, added to the gradient", at_least(0));
  }
};
std::shared_ptr<Optimizer> make_adam(const AdamConfig& config, const OptimizerContext& context);

/// Adam with decoupled weight decay: parameters shrink by learning_rate * weight_decay a step.
/// Source: Loshchilov & Hutter 2019 (arXiv:1711.05101), algorithm 2, as PyTorch computes it (its default decay too).
struct AdamWConfig {
  ScheduledNumber learning_rate = scheduled_number(1e-3);
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 1e-2;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("beta1", beta1, "decay of the running mean of gradients", at_least(0).below(1));
    field("beta2", beta2, "decay of the running mean of squared gradients", at_least(0).below(1));
    field("epsilon", epsilon, "added to the root of the second moment", more_than(0));
    field("weight_decay", weight_decay, "share of a parameter taken off a step, times the learning rate", at_least(0));
  }
};
std::shared_ptr<Optimizer> make_adamw(const AdamWConfig& config, const OptimizerContext& context);

/// Gradient descent with momentum; nesterov is Sutskever et al. 2013's form, as PyTorch computes it.
struct SgdConfig {
  ScheduledNumber learning_rate = scheduled_number(1e-2);
  double momentum = 0;
  bool nesterov = false;
  double weight_decay = 0;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("momentum", momentum, "share of the last update that is kept", at_least(0).below(1));
    field("nesterov", nesterov, "Nesterov's momentum; needs momentum > 0");
    field("weight_decay", weight_decay, "L2 penalty, added to the gradient", at_least(0));
  }
  void check(Relations& relations) const {
    if (nesterov && momentum == 0) relations.problem("nesterov", "needs momentum > 0");
  }
};
std::shared_ptr<Optimizer> make_sgd(const SgdConfig& config, const OptimizerContext& context);

}  // namespace elbo
