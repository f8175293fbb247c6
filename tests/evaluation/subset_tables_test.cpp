#include "../../src/evaluation/subset_tables.h"

#include <gtest/gtest.h>

#include "elbo/evaluation/evaluator.h"

namespace elbo::subset_tables_test {

TEST(SubsetNumber, IsReadOutOfAKey) {
  const auto ratio = detail::subset_number("log_likelihood_ratio(m1|m0,m2)_nats").value();
  EXPECT_EQ(ratio.quantity, "log_likelihood_ratio_nats");
  EXPECT_EQ(ratio.of, "m1");
  EXPECT_EQ(ratio.given, "m0,m2");
  const auto coherence = detail::subset_number("coherence(m0,m1->m2)").value();
  EXPECT_EQ(coherence.quantity, "coherence");
  EXPECT_EQ(coherence.of, "m2");
  EXPECT_EQ(coherence.given, "m0,m1");
  const auto alone = detail::subset_number("effective_sample_size(m0,m1)").value();
  EXPECT_EQ(alone.of, "m0,m1");
  EXPECT_EQ(alone.given, "");
  for (const auto* other : {"log_likelihood_nats", "(m0)", "a)b(", "elbo"}) EXPECT_FALSE(detail::subset_number(other)) << other;
}

TEST(EvaluationText, HasATableASubsetARow) {
  EvaluationResult result;
  result.measurements = {{.name = "log_likelihood", .unit = "nats", .value = -9, .standard_error = 0.5, .note = "a lower bound"},
                         {.name = "log_likelihood(b)", .unit = "nats", .value = -7.25, .standard_error = 0.25},
                         {.name = "effective_sample_size(b)", .value = 3.5},
                         {.name = "log_likelihood(a,b)", .unit = "nats", .value = -8},
                         {.name = "log_likelihood(c|b)", .unit = "nats", .value = -1},
                         {.name = "log_likelihood(a|b)", .unit = "nats", .value = -2},
                         {.name = "log_likelihood(c|a,b)", .unit = "nats", .value = -3, .standard_error = 0.125}};
  EXPECT_EQ(to_text(result),
            "metric                 value  standard error\n"
            "───────────────────  ───────  ──────────────\n"
            "log_likelihood_nats  -9.0000          0.5000\n"
            "\n"
            "modalities  log_likelihood_nats  effective_sample_size\n"
            "──────────  ───────────────────  ─────────────────────\n"
            "b              -7.2500 ± 0.2500                 3.5000\n"
            "a,b                     -8.0000\n"
            "\n"
            "log_likelihood_nats of each modality\n"
            "given        a                 c\n"
            "─────  ───────  ────────────────\n"
            "b      -2.0000           -1.0000\n"
            "a,b             -3.0000 ± 0.1250\n"
            "\n"
            "log_likelihood_nats: a lower bound\n");
}

}  // namespace elbo::subset_tables_test
