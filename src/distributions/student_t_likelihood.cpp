#include "elbo/distributions/student_t_likelihood.h"

#include "elbo/distributions/student_t.h"
#include "field_kinds.h"

namespace elbo {
namespace {

class StudentTLikelihood final : public Likelihood {
 public:
  StudentTLikelihood(const StudentTLikelihoodConfig& config, Shape shape)
      : df_(config.df), source_(*this, config.variance, config.scale, config.mean, std::move(shape)) {}

  Shape parameter_shape() const override { return source_.parameter_shape(); }
  DistributionPtr forward(const Tensor& parameters) override {
    auto [location, log_scale] = source_.split(parameters);
    const auto df = torch::full({}, df_, location.options().requires_grad(false));
    return std::make_shared<StudentT>(df, std::move(location), std::move(log_scale), source_.event_dims());
  }
  Tensor bias_for_mean(const Tensor& mean) const override { return source_.bias_for_location(mean); }

 private:
  double df_;
  detail::ScaleSource source_;
};

}  // namespace

std::shared_ptr<Likelihood> make_student_t_likelihood(const StudentTLikelihoodConfig& config, const LikelihoodContext& context) {
  detail::refuse_unless_numbers("student_t", context.field);
  return std::make_shared<StudentTLikelihood>(config, context.field.shape);
}

}  // namespace elbo
