#pragma once
#include "elbo/quantizers/quantizer.h"

namespace elbo {

/// A mixture of Gaussians in each group of a token's numbers: the codes of a group are its components' means. In training a code
/// is drawn from softmax(logits), logits = -|y - c|^2 / sqrt V times a learnt temperature of the group, and its gradient is that
/// of the draw relaxed; in evaluation it is the nearest one. With `random_drop`, codes in frequent use are left out of a training
/// draw: each with the probability that u^(b - (b - 1) w^2) is below its share of the use, u uniform, b = log2 V and w the share
/// of the codes that are in use at all. Every `reassign_every` steps codes that none has drawn since are overwritten by drawn
/// ones, at most half of them.
/// Source: Zhu et al. 2022 (arXiv:2203.10897), sections 3.1 and 3.3, with the drop and the reassignment of their code; published:
/// channels 128 in 2 groups and levels of 8,192, 2,048 and 512 codes. Codes start from N(0, 2 / (5 D)), D the numbers of a
/// group. With `cosine_weight`, codes of a group that point the same way are pushed apart, as that code can: the mean over pairs
/// of a group's codes of max(0, cosine), added up over groups. Differs: a code is in use where its running share is at least a
/// hundredth of an even one; published, the pairs are summed: weight w there is w V (V - 1) / 2 here.
struct McquicQuantizerConfig {
  int64_t codes = 512;
  int64_t code_size = 128;
  int64_t groups = 2;
  ScheduledNumber temperature = scheduled_number(1);
  bool random_drop = true;
  double decay = 0.9;
  int64_t reassign_every = 1000;
  double cosine_weight = 0;

  template <class F>
  void fields(F& field) {
    field("codes", codes, "codes V of each group", between(1, 1 << 24));
    field("code_size", code_size, "numbers of a token, all groups together", between(1, 1 << 20));
    field("groups", groups, "groups G that a token is cut into", between(1, 4096));
    field("temperature", temperature, "temperature of the relaxed draw", more_than(0));
    field("random_drop", random_drop, "whether frequent codes are left out of some draws");
    field("decay", decay, "share of the running use of codes that a step keeps", at_least(0).below(1));
    field("reassign_every", reassign_every, "steps between overwriting codes that are never drawn; 0: never", at_least(0));
    field("cosine_weight", cosine_weight, "weight of the cosines between a group's codes, once a step; 0: there are none",
          at_least(0));
  }
  void check(Relations& relations) const {
    if (code_size % groups != 0) relations.problem("groups", "must divide code_size");
  }
};

/// No terms but, where it has a weight, codebook_cosine: the reconstruction teaches codes and encoder. Readings: mean_temperature
/// of the groups, in_use. Parameters: codes [G, V, D], temperature [G]. Buffers: use [G, V] (running shares), drawn [G, V] (since
/// the last reassignment).
std::shared_ptr<Quantizer> make_mcquic_quantizer(const McquicQuantizerConfig& config, const QuantizerContext& context);

/// Log-weights of the components. Shapes: y [N, D], codes [V, D], temperature 0-dim -> [N, V].
Tensor mcquic_logits(const Tensor& y, const Tensor& codes, const Tensor& temperature);

/// The mean of max(0, cosine) over pairs of codes, added up over groups; of one code 0. Shapes: codes [G, V, D] -> 0-dim.
Tensor mcquic_cosine(const Tensor& codes);

/// Which codes to overwrite, each by which: of a group's counts of draws [V], `from` and `to` int64 [n]. Each by another that has
/// been drawn, chosen by the stream: at most half of them all.
struct Reassignment {
  Tensor to = {};
  Tensor from = {};
};
Reassignment mcquic_reassignment(const Tensor& drawn, Stream& stream);

}  // namespace elbo
