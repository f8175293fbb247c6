#include <algorithm>
#include <filesystem>
#include <iostream>
#include <limits>
#include <span>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"
#include "elbo/experiment/codec.h"
#include "elbo/io/file.h"
#include "image_input.h"
#include "output.h"
#include "standard_streams.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

std::optional<CodingPrior> prior_named(const std::string& name) {
  for (const auto prior : {CodingPrior::uniform, CodingPrior::empirical, CodingPrior::autoregressive}) {
    if (name == name_of(prior)) return prior;
  }
  if (name == "auto") return std::nullopt;
  throw UsageError("--prior: got " + in_quotes(name) + ", expected auto, uniform, empirical or autoregressive");
}

/// A bar for each phase.
std::function<void(std::string_view, int64_t)> phase_bars(int64_t total) {
  auto bar = std::make_shared<std::unique_ptr<Progress>>();
  auto current = std::make_shared<std::string>();
  return [=](std::string_view phase, int64_t done) {
    if (*current != phase) {
      *current = phase;
      *bar = std::make_unique<Progress>(*current, total, "img");
    }
    (*bar)->update(done);
    if (done < total) return;
    (*bar)->finish();
    current->clear();
  };
}

Json json_of(const CodingReport& report, const OpenedRun& run, const Codec& codec) {
  Json json;
  json["run"] = run.run.string();
  json["checkpoint"] = "step-" + std::to_string(run.checkpoint.state().step);
  json["model_sha256"] = codec.parts().model_hash;
  if (report.prior == CodingPrior::autoregressive) json["prior_sha256"] = codec.parts().prior_hash;
  json.update(to_json(report));
  return json;
}

/// What is written takes no image's place.
void check_written_apart(const std::string& out, const std::optional<std::string>& json, std::span<const fs::path> images) {
  for (const auto& [option, written] : {std::pair("--out", std::optional(out)), std::pair("--json", json)}) {
    if (!written || *written == "-") continue;
    for (const auto& image : images) {
      if (!same_file(*written, image)) continue;
      throw UsageError(text(option, ": ", in_quotes(*written), " is one of the images; choose another name"));
    }
  }
}

}  // namespace

int run_compress(const std::vector<std::string>& words) {
  CommandLine line(
      "compress",
      "Turns images into the codes of a run's model and writes them as a file, entropy coded under uniform or counted "
      "frequencies or a trained prior. IMAGES are PNG or JPEG files of the model's size and channels, folders of them, "
      "one .npy or .npz (array x), split:NAME of the run's data, or - for standard input.",
      "RUN IMAGES...",
      {"elbo compress RUN photo.png shoes/ --out images.elbo", "elbo compress RUN split:test --out test.elbo --json -",
       "elbo compress RUN shoes/ --prior empirical --out shoes.elbo", "elbo compress RUN - --out - < photo.png > photo.elbo",
       "elbo decompress RUN images.elbo --out images"});
  line.add()("out", "the file, or - for standard output", cxxopts::value<std::string>()->default_value("codes.elbo"));
  line.add()(
      "prior",
      "what the codes are coded under: uniform, empirical (their counts, which the file then holds), autoregressive (the prior "
      "of a second stage), or auto: the trained prior where there is one, else what makes the smaller file",
      cxxopts::value<std::string>()->default_value("auto"));
  line.add()("images-per-stream",
             "images that are decoded together; each stream costs a few bytes and is found by itself; 0: up to 256",
             cxxopts::value<int64_t>()->default_value("0"));
  line.add()("limit", "only the first N images; 0 for all", cxxopts::value<int64_t>()->default_value("0"));
  line.add()("json", "write the report as one JSON object to a file, or to standard output for -", cxxopts::value<std::string>());
  line.add()("quiet", "no progress");
  line.add_runtime();
  if (!line.parse(words, 2, std::numeric_limits<size_t>::max())) return 0;

  if (line.has("quiet")) set_log_level(LogLevel::warn);
  const auto out = line.get<std::string>("out");
  const auto json = line.find<std::string>("json");
  if (out != "-") check_output_folder("out", out);
  if (json && *json != "-") check_output_folder("json", *json);
  if (out == "-" && json == "-") throw UsageError("--json -: standard output is taken by --out -; write the report to a file");
  if (json && out != "-" && *json != "-" && same_file(out, *json)) {
    throw UsageError("--json: " + in_quotes(*json) + " is what --out writes; choose another name");
  }
  const auto limit = line.integer("limit", 0, std::numeric_limits<int64_t>::max());
  CompressOptions options{.prior = prior_named(line.get<std::string>("prior")),
                          .images_per_stream = line.integer("images-per-stream", 0, 1 << 24)};
  const std::vector<std::string> images(line.positional().begin() + 1, line.positional().end());
  const bool reads_data = std::any_of(images.begin(), images.end(), names_a_split);

  const auto opened = open_run(line.positional()[0], line.runtime(), reads_data ? DataUse::load : DataUse::headers);
  Codec codec(codec_parts(opened));
  const auto input = image_input(images, opened, codec, limit);
  check_written_apart(out, json, input.files);
  options.names = input.names;
  if (!line.has("quiet")) options.progress = phase_bars(input.count);
  const auto compressed = compress_images(codec, input.rows, input.count, options);

  const auto bytes = std::as_bytes(std::span(compressed.bytes));
  if (out == "-") {
    write_standard_output(bytes);
  } else {
    write_atomically(out, bytes);
  }
  if (json) write_output(*json, json_of(compressed.report, opened, codec).dump(2) + "\n");
  const auto heading = text(count_of(input.count, "image"), " in ", out == "-" ? "standard output" : out, ", ",
                            codec.codes_per_image(), " codes each\n");
  (out == "-" || json == "-" ? std::cerr : std::cout) << heading << to_text(compressed.report);
  return 0;
}

}  // namespace elbo
