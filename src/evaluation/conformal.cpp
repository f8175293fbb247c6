#include "elbo/evaluation/conformal.h"

#include <cmath>
#include <cstdio>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/fitting/conformal.h"
#include "rows.h"

namespace elbo {
namespace {

constexpr double kConformalAlpha = 0.05, kBandProbability = 0.99;
constexpr std::string_view kConformal = "conformal";

Reconstructs& reconstructs_for_conformal(const EvaluationContext& context) {
  return detail::as_ability<Reconstructs>(context, kConformal, "a model that reconstructs");
}

/// The context that calibration rows are read from: all of the valid split, or where that is evaluated the rows that are.
EvaluationContext calibration_of(const EvaluationContext& context) {
  auto calibration = context;
  calibration.split = Split::valid;
  if (context.split != Split::valid) calibration.limit = 0;
  return calibration;
}

/// One block size: calibrated, then measured.
struct SizedBlocks {
  std::string name = {};
  std::string words = {};
  BlockConformal conformal;
  detail::Column coverage = {};
};

class ConformalMetric final : public Metric {
 public:
  void check(const EvaluationContext& context) const override {
    const auto field = reconstructs_for_conformal(context).reconstructed_field();
    if (!context.dataset) return;
    const auto found = context.dataset->spec().find(field);
    if (found != context.dataset->spec().end() &&
        (found->second.shape.empty() || found->second.shape.size() > 3 || found->second.kind == ValueKind::category ||
         found->second.kind == ValueKind::table)) {
      throw UsageError(text("metric 'conformal' needs maps or rows of numbers; ", field, " is none"));
    }
    const auto rows = detail::num_rows(calibration_of(context)), least = BlockConformal::least_rows(kConformalAlpha);
    const auto calibrating = context.split == Split::valid ? (rows + 1) / 2 : rows;
    if (calibrating < least || rows < 2) {
      throw UsageError(
          text("metric 'conformal' needs ", least, " rows of the valid split to calibrate on, there are ", calibrating));
    }
  }

  std::vector<Measurement> evaluate(const EvaluationContext& context) const override {
    check(context);
    std::vector<SizedBlocks> sizes;
    for (const int64_t block : {1, 4, 0}) {
      sizes.push_back({.name = block == 0 ? "whole" : std::to_string(block),
                       .words = block == 0   ? "whole maps"
                                : block == 1 ? "pixels"
                                             : text("blocks of ", block, " x ", block),
                       .conformal = BlockConformal({.block = block, .alpha = kConformalAlpha})});
    }
    const bool shared = context.split == Split::valid;
    visit_errors(calibration_of(context), "calibrating", [&](const Tensor& errors, int64_t first_row) {
      const auto rows = shared ? every_other(errors, first_row, 0) : errors;
      for (auto& size : sizes) size.conformal.calibrate(rows);
    });
    int64_t measured_rows = 0;
    visit_errors(context, kConformal, [&](const Tensor& errors, int64_t first_row) {
      const auto rows = shared ? every_other(errors, first_row, 1) : errors;
      measured_rows += rows.size(0);
      for (auto& size : sizes) size.coverage.add(size.conformal.coverage(rows).blocks);
    });
    std::vector<Measurement> found;
    for (const auto& size : sizes) add(found, size, shared, measured_rows);
    return found;
  }

 private:
  /// |x - reconstruction| in float64, so that neither the batch nor the device decides which of two is larger.
  static void visit_errors(const EvaluationContext& context, std::string_view name,
                           const std::function<void(const Tensor&, int64_t)>& visit) {
    auto& model = reconstructs_for_conformal(context);
    detail::for_each_batch(context, name, [&](const Batch& batch, int64_t first_row) {
      const auto& original = batch.at(model.reconstructed_field());
      visit((original.to(at::kDouble) - model.reconstruct(batch).to(at::kDouble)).abs(), first_row);
    });
  }

  static Tensor every_other(const Tensor& rows, int64_t first_row, int64_t remainder) {
    const auto start = (first_row + remainder) % 2;
    return rows.slice(0, std::min(start, rows.size(0)), rows.size(0), 2);
  }

  static void add(std::vector<Measurement>& found, const SizedBlocks& size, bool shared, int64_t measured_rows) {
    const auto n = size.conformal.num_rows();
    const auto band = coverage_band(n, measured_rows, kConformalAlpha, kBandProbability);
    char between[64];
    std::snprintf(between, sizeof(between), "%.4f to %.4f", band.low, band.high);
    auto coverage = measure("conformal_coverage_" + size.name, "", size.coverage.whole());
    coverage.note =
        text("share of ", size.words, " that lie within their intervals, 0.95 asked for, calibrated on ", with_commas(n),
             shared ? " of the valid rows, measured on the others; " : " valid rows; ", "99 % of cases ", between);
    const double off = std::abs(coverage.value - (1 - kConformalAlpha));
    if (shared) coverage.per_example = Tensor();  // of half of the rows
    found.push_back(std::move(coverage));
    found.push_back({.name = "conformal_coverage_error_" + size.name, .value = off});
    found.push_back({.name = "conformal_width_" + size.name,
                     .value = size.conformal.width(),
                     .note = "mean over places of the intervals' upper minus lower bound"});
  }
};

}  // namespace

std::shared_ptr<Metric> make_conformal_metric(const NoConfig&) { return std::make_shared<ConformalMetric>(); }

}  // namespace elbo
