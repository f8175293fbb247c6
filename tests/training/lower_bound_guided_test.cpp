#include "elbo/objectives/lower_bound_guided.h"

#include "elbo/training/check.h"
#include "models/enlarged_codes.h"
#include "training/digits_training.h"

using namespace elbo;

namespace guided_training_test {
using namespace elbo::fakes;
namespace {

constexpr int64_t kSteps = 8, kGuided = 2, kCriticStart = 4;

struct DataSection {
  DatasetChoice data{datasets};
  template <class F>
  void fields(F& field) {
    field("data", data, "");
  }
};

/// A second stage on the digits at half their size, whose critic starts half-way.
struct Enlarging : DigitsTraining<AsymmetricVae> {
  explicit Enlarging(int64_t steps = kSteps) : DigitsTraining(steps, 64, 1e-3) {
    load(read_config<DataSection>(parse_yaml("data: {type: digits, coarse: 2}\n", "a.yaml")).data.make({.seed = 3}));
    base = enlarged_codes::base(dataset->spec());
    model = enlarged_codes::model(base, EnlargingHead::dup_shuffle, dataset->spec());
    objective = make_lower_bound_guided({.guided_steps = kGuided,
                                         .perceptual = {.weight = 0.1},
                                         .critic = {.channels = 4, .layers = 1},
                                         .critic_start = kCriticStart,
                                         .critic_weight = scheduled_number(0.5)},
                                        *model, {.spec = dataset->spec(), .seed = 3});
  }
  std::vector<Tensor> state_of_base() const {
    std::vector<Tensor> all;
    for (const auto& parameter : base->parameters()) all.push_back(parameter.detach().clone());
    for (const auto& buffer : base->buffers()) all.push_back(buffer.clone());
    return all;
  }
  Tensor critic_weight() const { return parameter_of_objective("critic.convs.0.weight"); }
  Tensor decoder_weight() const { return model->output_weight().detach().clone(); }

  std::shared_ptr<VqVae> base;
};

TEST(LowerBoundGuidedTraining, TheBaseStaysAndTheCriticStartsAtItsStep) {
  Enlarging training;
  EXPECT_EQ(batch_coupling(*training.model, *training.objective), "the objective");
  const auto base = training.state_of_base();
  const auto critic = training.critic_weight(), decoder = training.decoder_weight();
  Trainer trainer(training.parts());
  for (int64_t i = 0; i < kCriticStart; ++i) trainer.step();
  EXPECT_TRUE(training.critic_weight().equal(critic));
  EXPECT_FALSE(training.decoder_weight().equal(decoder));
  for (int64_t i = kCriticStart; i < kSteps; ++i) trainer.step();
  EXPECT_FALSE(training.critic_weight().equal(critic));
  const auto after = training.state_of_base();
  ASSERT_EQ(after.size(), base.size());
  for (size_t i = 0; i < base.size(); ++i) expect_equal(after[i], base[i]);
}

TEST(LowerBoundGuidedTraining, GoesOnFromTheMiddleOfTheAdversarialPartToTheBit) {
  const auto log = expect_goes_on_to_the_bit([](int64_t steps) { return Enlarging(steps); }, kCriticStart + 1, kSteps);
  for (const auto* name : {"guide", "hinge", "perceptual", "critic/loss", "adaptive_weight"}) {
    EXPECT_NE(log.find(name), std::string::npos) << name;
  }
}

}  // namespace
}  // namespace guided_training_test
