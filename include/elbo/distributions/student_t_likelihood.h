#pragma once
#include "elbo/distributions/likelihood.h"
#include "elbo/distributions/scale_source.h"

namespace elbo {

/// Independent Student-t variables around the decoder's output: heavy tails, so that outliers pull less.
/// Source: Takahashi et al. 2018 (IJCAI), "Student-t variational autoencoder for robust density estimation", with df fixed.
struct StudentTLikelihoodConfig {
  double df = 4;
  double scale = 1;
  DecoderVariance variance = DecoderVariance::fixed;
  MeanActivation mean = MeanActivation::identity;

  template <class F>
  void fields(F& field) {
    field("df", df, "degrees of freedom; the mean needs more than 1, the variance more than 2", more_than(1));
    field("scale", scale, "scale s, or where it starts", more_than(0));
    field("variance", variance, "s is fixed; learned: one parameter; per_pixel: the decoder gives 2 log s for each element");
    field("mean", mean, "how the decoder's output becomes the mean; sigmoid keeps it in [0, 1]");
  }
  void check(Relations& relations) const {
    if (variance == DecoderVariance::optimal) relations.problem("variance", "optimal is for likelihood normal; choose learned");
  }
};

std::shared_ptr<Likelihood> make_student_t_likelihood(const StudentTLikelihoodConfig& config, const LikelihoodContext& context);

}  // namespace elbo
