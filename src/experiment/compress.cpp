#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/evaluation/psnr.h"
#include "elbo/experiment/codec.h"
#include "stream_coder.h"

namespace elbo {
namespace {

using detail::StreamBits;
using detail::StreamCoder;

/// The bits that codes of known frequencies, each by itself, can't be under.
double entropy_bits(const std::vector<Tensor>& codes) {
  double bits = 0;
  for (const auto& level : codes) {
    for (int64_t g = 0; g < level.size(-1); ++g) {
      const auto counts = std::get<2>(at::_unique2(level.select(-1, g).contiguous(), false, false, true)).to(at::kDouble);
      bits -= (counts * (counts / counts.sum()).log2()).sum().item<double>();
    }
  }
  return bits;
}

std::optional<double> nominal_bits(const Codec& codec) {
  double bits = 0;
  for (const auto& [grid, sizes] : codec.alphabets()) {
    if (grid.vocabulary == 0) return std::nullopt;
    for (const auto size : sizes) bits += static_cast<double>(grid.height * grid.width) * std::log2(static_cast<double>(size));
  }
  return bits;
}

int64_t default_images_per_stream(const Codec& codec) {
  constexpr int64_t kMost = 256, kCodes = 1 << 14;  // what the decoder of an autoregressive prior keeps grows with both
  return std::clamp<int64_t>(kCodes / codec.codes_per_image(), 1, kMost);
}

/// Writes one file under one prior.
class FileWriter {
 public:
  FileWriter(Codec& codec, const std::vector<Tensor>& codes, const CompressOptions& options)
      : codec_(codec), codes_(codes), options_(options) {
    const auto shape = codec.image_shape();
    header_ = {.model_hash = codec.parts().model_hash,
               .channels = shape[0],
               .height = shape[1],
               .width = shape[2],
               .levels = codec.grids(),
               .num_images = codes.at(0).size(0),
               .images_per_stream = options.images_per_stream > 0 ? options.images_per_stream : default_images_per_stream(codec),
               .names = options.names};
    header_.images_per_stream = std::min(header_.images_per_stream, header_.num_images);
  }

  Compressed write(CodingPrior prior) {
    header_.prior = prior;
    header_.prior_hash = prior == CodingPrior::autoregressive ? codec_.parts().prior_hash : "";
    header_.prior_data = {};
    const auto coder = coder_of(prior);
    std::vector<std::vector<uint8_t>> streams;
    StreamBits bits;
    if (options_.progress) options_.progress("code", 0);
    for (int64_t first = 0; first < header_.num_images; first += header_.images_per_stream) {
      const auto count = std::min(header_.images_per_stream, header_.num_images - first);
      std::vector<Tensor> part;
      for (const auto& level : codes_) part.push_back(level.narrow(0, first, count));
      streams.push_back(coder->encode(part, bits));
      if (options_.progress) options_.progress("code", first + count);
    }
    Compressed compressed{.bytes = pack_code_file(header_, streams), .report = report_of(bits)};
    for (const auto& stream : streams) compressed.report.payload_bytes += static_cast<int64_t>(stream.size());
    compressed.report.file_bytes = static_cast<int64_t>(compressed.bytes.size());
    return compressed;
  }

 private:
  std::unique_ptr<StreamCoder> coder_of(CodingPrior prior) {
    if (prior == CodingPrior::autoregressive) return detail::make_autoregressive_coder(codec_);
    if (prior == CodingPrior::uniform) return detail::make_uniform_coder(codec_.alphabets());
    const auto counts = detail::count_codes(codec_.alphabets(), codes_);
    header_.prior_data = detail::pack_code_counts(counts);
    return detail::make_empirical_coder(codec_.alphabets(), counts);
  }

  CodingReport report_of(const StreamBits& bits) const {
    CodingReport report{.prior = header_.prior,
                        .num_images = header_.num_images,
                        .pixels_per_image = header_.height * header_.width,
                        .values_per_image = header_.channels * header_.height * header_.width,
                        .codes_per_image = codec_.codes_per_image(),
                        .num_streams = header_.num_streams(),
                        .entropy_bits = entropy_bits(codes_),
                        .model_bits = bits.model,
                        .integer_bits = bits.integer,
                        .prior_bytes = static_cast<int64_t>(header_.prior_data.size())};
    if (const auto nominal = nominal_bits(codec_)) report.nominal_bits = *nominal * static_cast<double>(header_.num_images);
    return report;
  }

  Codec& codec_;
  const std::vector<Tensor>& codes_;
  const CompressOptions& options_;
  CodeHeader header_ = {};
};

/// What would be refused when all is done is refused before anything is.
void check_options(const Codec& codec, int64_t num_images, const CompressOptions& options) {
  const bool has_prior = !codec.parts().priors.empty();
  if (options.prior == CodingPrior::autoregressive && !has_prior) {
    throw UsageError("prior autoregressive: " + codec.parts().why_no_prior);
  }
  const auto prior = options.prior.value_or(has_prior ? CodingPrior::autoregressive : CodingPrior::uniform);
  const auto most = most_images_in_stream(prior, codec.codes_per_image());
  if (std::min(options.images_per_stream, num_images) > most) {
    throw UsageError(text("codec: a stream of ", options.images_per_stream, " images of ", codec.codes_per_image(),
                          " codes is more than one stream may hold; take at most ", with_commas(most), " images a stream"));
  }
  const auto& names = options.names;
  if (!names.empty() && static_cast<int64_t>(names.size()) != num_images) {
    throw UsageError(text("codec: got ", names.size(), " names for ", num_images, " images, expected as many or none"));
  }
  std::set<std::string_view> known;
  for (const auto& name : names) {
    auto problem = code_name_problem(name);
    if (problem.empty() && !known.insert(name).second) problem = "stands twice";
    if (!problem.empty()) throw UsageError("codec: the name " + in_quotes(name) + " " + problem + "; rename the picture");
  }
}

/// As a picture file holds them.
Tensor eight_bits(const Tensor& x) { return (x.nan_to_num(0).clamp(0, 1) * 255).round() / 255; }

}  // namespace

Compressed compress_codes(Codec& codec, const std::vector<Tensor>& codes, const CompressOptions& options) {
  if (codes.size() != codec.alphabets().size() || codes.front().size(0) == 0) {
    throw UsageError("codec: expected the codes of one image at least, of each level");
  }
  check_options(codec, codes.front().size(0), options);
  FileWriter writer(codec, codes, options);
  if (options.prior) return writer.write(*options.prior);
  if (!codec.parts().priors.empty()) return writer.write(CodingPrior::autoregressive);
  auto uniform = writer.write(CodingPrior::uniform), empirical = writer.write(CodingPrior::empirical);
  return empirical.bytes.size() < uniform.bytes.size() ? empirical : uniform;
}

Compressed compress_images(Codec& codec, const ImageRows& rows, int64_t num_images, const CompressOptions& options) {
  if (num_images == 0) throw UsageError("codec: there is no image to compress");
  check_options(codec, num_images, options);
  const auto kind = codec.x().kind;
  bool has_psnr = kind == ValueKind::unit || kind == ValueKind::binary;
  std::vector<std::vector<Tensor>> parts(codec.alphabets().size());
  double decibels = 0;
  if (options.progress) options.progress("encode", 0);
  for (int64_t first = 0; first < num_images; first += codec.images_at_once()) {
    const auto count = std::min(codec.images_at_once(), num_images - first);
    const auto x = rows(first, count).cpu();
    const auto codes = codec.encode(x);
    for (size_t level = 0; level < codes.size(); ++level) parts[level].push_back(codes[level]);
    if (has_psnr) {
      const auto decoded = codec.decode(codes);
      has_psnr = decoded.sizes() == x.sizes();  // else the model gives back another picture than it reads
      if (has_psnr) decibels += psnr(x, eight_bits(decoded)).sum().item<double>();
    }
    if (options.progress) options.progress("encode", first + count);
  }
  std::vector<Tensor> codes;
  for (auto& level : parts) codes.push_back(torch::cat(level));
  auto compressed = compress_codes(codec, codes, options);
  if (has_psnr) compressed.report.psnr_db = decibels / static_cast<double>(num_images);
  return compressed;
}

CodeReader::CodeReader(Codec& codec, const CodeFile& file) : file_(file) {
  const auto& header = file.header();
  const auto& parts = codec.parts();
  const bool needs_prior = header.prior == CodingPrior::autoregressive;
  file.expect_made_by(parts.model_hash, needs_prior ? parts.prior_hash : "");
  if (needs_prior && parts.priors.empty()) {
    throw DataError(file.origin() + ": coded under a trained prior, and " + parts.why_no_prior);
  }
  const auto shape = codec.image_shape();
  if (header.levels != codec.grids() || Shape{header.channels, header.height, header.width} != shape) {
    throw DataError(file.origin() +
                    ": its images and codes have other extents than the model's; decompress with the run that compressed it");
  }
  if (needs_prior) {
    coder_ = detail::make_autoregressive_coder(codec);
  } else if (header.prior == CodingPrior::uniform) {
    coder_ = detail::make_uniform_coder(codec.alphabets());
  } else {
    coder_ = detail::make_empirical_coder(codec.alphabets(), detail::unpack_code_counts(codec.alphabets(), header.prior_data,
                                                                                        file.origin() + ": the prior's counts"));
  }
  for (int64_t i = 0; i < header.num_streams(); ++i) {
    coder_->check_room(file.stream(i).size(), file.images_in_stream(i), file.origin_of(i));
  }
}

CodeReader::~CodeReader() = default;

std::vector<Tensor> CodeReader::stream(int64_t index) const {
  return coder_->decode(file_.stream(index), file_.images_in_stream(index), file_.origin_of(index));
}

}  // namespace elbo
