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

/// The axis `optimizer`: adagrad, adam, adamax, adamw, rmsprop, sgd.
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

/// Source: Duchi, Hazan & Singer 2011, the diagonal form of figure 1, as PyTorch computes it.
struct AdagradConfig {
  ScheduledNumber learning_rate = scheduled_number(1e-2);
  double learning_rate_decay = 0;
  double initial_accumulator = 0;
  double epsilon = 1e-10;
  double weight_decay = 0;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("learning_rate_decay", learning_rate_decay, "step t (from 0) divides the step size by 1 + t * this", at_least(0));
    field("initial_accumulator", initial_accumulator, "what the sums of squared gradients start from", at_least(0));
    field("epsilon", epsilon, "added to the root of the sum", more_than(0));
    field("weight_decay", weight_decay, "L2 penalty, added to the gradient", at_least(0));
  }
};
std::shared_ptr<Optimizer> make_adagrad(const AdagradConfig& config, const OptimizerContext& context);

/// Adam by the largest gradient in place of the root mean square.
/// Source: Kingma & Ba 2015 (arXiv:1412.6980), algorithm 2, as PyTorch computes it (its epsilon too).
struct AdamaxConfig {
  ScheduledNumber learning_rate = scheduled_number(2e-3);
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("beta1", beta1, "decay of the running mean of gradients", at_least(0).below(1));
    field("beta2", beta2, "decay of the largest gradient", at_least(0).below(1));
    field("epsilon", epsilon, "added to a gradient's size before the largest is taken", more_than(0));
    field("weight_decay", weight_decay, "L2 penalty, added to the gradient", at_least(0));
  }
};
std::shared_ptr<Optimizer> make_adamax(const AdamaxConfig& config, const OptimizerContext& context);

/// Source: Tieleman & Hinton 2012 (lecture 6.5 of Coursera's neural networks), with PyTorch's momentum; centred: Graves 2013
/// (arXiv:1308.0850), eqs. 38 to 41, with epsilon outside the root, as PyTorch computes it.
struct RmsPropConfig {
  ScheduledNumber learning_rate = scheduled_number(1e-2);
  double alpha = 0.99;
  double epsilon = 1e-8;
  double momentum = 0;
  bool centered = false;
  double weight_decay = 0;

  template <class F>
  void fields(F& field) {
    field("learning_rate", learning_rate, "step size", at_least(0));
    field("alpha", alpha, "decay of the running mean of squared gradients", at_least(0).below(1));
    field("epsilon", epsilon, "added to the root of the second moment", more_than(0));
    field("momentum", momentum, "share of the last update that is kept", at_least(0).below(1));
    field("centered", centered, "divide by the spread of the gradients about their running mean");
    field("weight_decay", weight_decay, "L2 penalty, added to the gradient", at_least(0));
  }
};
std::shared_ptr<Optimizer> make_rmsprop(const RmsPropConfig& config, const OptimizerContext& context);

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
