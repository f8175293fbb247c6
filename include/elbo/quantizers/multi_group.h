#pragma once
#include "elbo/config/problems.h"
#include "elbo/quantizers/cvq.h"

namespace elbo {

/// Wide tokens in groups, each with a codebook of unit vectors: groups and codes are scaled to length 1, the nearest code is the
/// value. In training the last groups are left out of some examples, so that the first ones hold what matters most and every
/// prefix decodes. Rarely used codes are drawn to tokens as in CVQ.
/// Source: Jia et al. 2025 (arXiv:2507.07997), section 3. Differs: what is left out is drawn for each example by itself, not once
/// a step; a group that is left out keeps its place, with index -1; `projections` are off unless asked for.
/// Terms: codebook |sg u - e|^2, commitment |u - sg e|^2, summed over the groups that are not left out; u = z / |z| of a group.
/// Gradient: straight through from the code to u, then that of the normalisation.
/// Parameters: codes [G, V, D]; input.{weight,bias} and output.{weight,bias} of the projections. Buffers: use [G, V].
struct MultiGroupConfig {
  int64_t groups = 4;
  int64_t codes = 8192;
  int64_t code_size = 8;
  ScheduledNumber commitment = scheduled_number(0.25);
  ScheduledNumber codebook_weight = scheduled_number(1);
  std::vector<double> masking = {0, 0.2, 0.3, 0.4};
  ScheduledNumber masking_scale = scheduled_number(1);
  double decay = 0.99;
  CvqAnchor anchor = CvqAnchor::probabilistic;
  bool projections = false;

  template <class F>
  void fields(F& field) {
    field("groups", groups, "groups G of a token", between(1, 1024));
    field("codes", codes, "number of codes V of a group", between(1, 1 << 26));
    field("code_size", code_size, "numbers D of a group", between(1, 1 << 16));
    field("commitment", commitment, "weight of the term that draws tokens to their codes", at_least(0));
    field("codebook_weight", codebook_weight, "weight of the term that draws codes to their tokens", at_least(0));
    field("masking", masking, "probability that a group is left out, rising; the last one holds for all further groups",
          between(0, 1));
    field("masking_scale", masking_scale, "factor of these probabilities; 0: every group is always used", between(0, 1));
    field("decay", decay, "what remains of the codes' averaged use after a step", at_least(0).below(1));
    field("anchor", anchor, "the token that draws a rarely used code: random, probabilistic, or closest");
    field("projections", projections, "a linear map of each group before normalisation and one after the codes");
  }
  void check(Relations& relations) const;
};

/// Throws: ConfigError where the probabilities fall.
std::shared_ptr<Quantizer> make_multi_group(const MultiGroupConfig& config, const QuantizerContext& context);

}  // namespace elbo
