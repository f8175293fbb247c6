#pragma once
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace elbo {

/// A logged quantity over the steps, in their order, one value a step.
struct LoggedSeries {
  struct Point {
    int64_t step = 0;
    double value = 0;  // NaN where what was logged is not finite
  };
  std::string split = {};  // "train", "valid"
  std::string name = {};
  std::vector<Point> points = {};
};

/// The newest values of the units of a latent layer.
struct LoggedUnits {
  std::string layer = {};
  std::vector<double> kl = {};  // nats; empty where the KL does not split over units
  std::vector<double> variance_of_means = {};
};

/// The newest use of a codebook.
struct LoggedCodebook {
  std::string name = {};
  int64_t size = 0;  // V; 0 without bound
  int64_t tokens = 0;
  int64_t used = 0;
  double perplexity = 0;
  std::vector<double> largest_counts = {};  // falling
};

/// metrics.jsonl as far as it can be read: a run may be writing it, or have died over it.
struct RunLog {
  std::vector<LoggedSeries> series = {};  // as first met
  std::vector<LoggedUnits> units = {};
  int64_t units_step = 0;
  std::vector<LoggedCodebook> codebooks = {};
  int64_t codebooks_step = 0;
  int64_t last_step = 0;
  int64_t last_epoch = 0;
  std::vector<std::string> problems = {};  // "metrics.jsonl:7: …", a line each; long lists are cut

  const LoggedSeries* find(std::string_view split, std::string_view name) const;
};

/// Never throws over what the file holds; a file that can't be read is a problem too.
RunLog read_run_log(const std::filesystem::path& metrics_jsonl);

}  // namespace elbo
