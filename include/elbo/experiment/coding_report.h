#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "elbo/base/json.h"
#include "elbo/io/code_file.h"

namespace elbo {

/// What the images of a code file cost, and what each step from the nominal rate to the file adds or saves.
/// Units: bits and bytes of all images together.
struct CodingReport {
  CodingPrior prior = CodingPrior::uniform;
  int64_t num_images = 0;
  int64_t pixels_per_image = 0;
  int64_t values_per_image = 0;  // pixels times channels
  int64_t codes_per_image = 0;
  int64_t num_streams = 0;
  std::optional<double> nominal_bits = {};  // log2 V a code; none where integers have no bound
  double entropy_bits = 0;                  // of the codes' frequencies among these very images, of each level and group
  double model_bits = 0;                    // -log2 of the prior's probabilities, in floating point
  double integer_bits = 0;                  // of the integer frequencies that stand for them: what the coder aims at
  int64_t payload_bytes = 0;                // of the streams
  int64_t prior_bytes = 0;                  // of the prior's data in the file
  int64_t file_bytes = 0;                   // of everything
  std::optional<double> psnr_db = {};       // mean over the images, reconstructions rounded to 8 bits; of values in [0, 1]

  double bits_per_pixel(double bits) const { return bits / static_cast<double>(num_images * pixels_per_image); }
  double bits_per_dim(double bits) const { return bits / static_cast<double>(num_images * values_per_image); }
};

Json to_json(const CodingReport& report);
/// A table for the terminal, a row a stage.
std::string to_text(const CodingReport& report);

/// "uniform", "empirical", "autoregressive".
std::string name_of(CodingPrior prior);

}  // namespace elbo
