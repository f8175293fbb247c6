#include "elbo/experiment/coding_report.h"

#include <cstdio>

#include "elbo/base/table.h"
#include "elbo/base/text.h"

namespace elbo {
namespace {

std::string rounded_to(double value, int digits) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.*f", digits, value);
  return buffer;
}

double bits_of(int64_t bytes) { return 8 * static_cast<double>(bytes); }

}  // namespace

std::string name_of(CodingPrior prior) {
  return prior == CodingPrior::uniform ? "uniform" : prior == CodingPrior::empirical ? "empirical" : "autoregressive";
}

Json to_json(const CodingReport& report) {
  const double file_bits = bits_of(report.file_bytes);
  Json json;
  json["prior"] = name_of(report.prior);
  json["images"] = report.num_images;
  json["streams"] = report.num_streams;
  json["codes_per_image"] = report.codes_per_image;
  json["bits_per_pixel"] = report.bits_per_pixel(file_bits);
  json["bits_per_dim"] = report.bits_per_dim(file_bits);
  json["bits_per_image"] = file_bits / static_cast<double>(report.num_images);
  if (report.nominal_bits) json["nominal_bits"] = *report.nominal_bits;
  json["entropy_bits"] = report.entropy_bits;
  json["model_bits"] = report.model_bits;
  json["integer_bits"] = report.integer_bits;
  json["payload_bytes"] = report.payload_bytes;
  json["prior_bytes"] = report.prior_bytes;
  json["file_bytes"] = report.file_bytes;
  if (report.psnr_db) json["psnr_db"] = *report.psnr_db;
  return json;
}

std::string to_text(const CodingReport& report) {
  Table table({{"", Align::left},
               {"bytes", Align::right},
               {"bits/image", Align::right},
               {"bits/pixel", Align::right},
               {"bits/dim", Align::right}});
  const auto row = [&](const std::string& name, double bits, const std::string& bytes) {
    table.row({name, bytes, rounded_to(bits / static_cast<double>(report.num_images), 2),
               rounded_to(report.bits_per_pixel(bits), 4), rounded_to(report.bits_per_dim(bits), 4)});
  };
  const auto stored = [&](const std::string& name, int64_t bytes) { row(name, bits_of(bytes), with_commas(bytes)); };
  if (report.nominal_bits) row("nominal, log2 V a code", *report.nominal_bits, "");
  row("entropy of the codes' frequencies", report.entropy_bits, "");
  row("the prior (" + name_of(report.prior) + ")", report.model_bits, "");
  row("as integer frequencies", report.integer_bits, "");
  stored(text("coded, ", count_of(report.num_streams, "stream")), report.payload_bytes);
  if (report.prior_bytes > 0) stored("the prior's counts", report.prior_bytes);
  stored("the whole file", report.file_bytes);
  auto out = table.str();
  if (report.psnr_db) out += "PSNR " + rounded_to(*report.psnr_db, 2) + " dB of 8-bit images, the mean over images\n";
  return out;
}

}  // namespace elbo
