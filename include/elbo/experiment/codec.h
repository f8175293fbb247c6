#pragma once
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "elbo/code_priors/code_prior.h"
#include "elbo/data/spec.h"
#include "elbo/experiment/coding_report.h"
#include "elbo/io/code_file.h"
#include "elbo/models/family.h"
#include "elbo/models/model.h"

namespace elbo {

struct OpenedRun;

/// What a codec is made of. The model and the priors must outlive it, in evaluation mode.
struct CodecParts {
  Quantized* model = nullptr;
  DataSpec spec = {};                                 // what the model was built for; field `x` is coded
  std::vector<AutoregressiveCodePrior*> priors = {};  // one a level, top first; none: codes can't be coded under a trained prior
  std::string model_hash = {};                        // SHA-256 of the model's weights
  std::string prior_hash = {};                        // of the priors' weights; empty without priors
  std::string why_no_prior = {};                      // what a person who asks for one is told
  at::Device device = at::kCPU;
};

/// The parts of a model: vq_vae, vq_vae_2 or another with codes, or code_prior over one. Throws: UsageError where it has no
/// codes.
CodecParts codec_parts(Model& model, const DataSpec& spec, at::Device device);
/// The same with the hashes of the run's checkpoint. A second stage over a base has the base's hash for the model, so that it
/// reads files that the base made without a prior.
CodecParts codec_parts(const OpenedRun& run);

/// Codes of one level: its extents, and how many codes each group has (0 = any integers).
struct CodeAlphabet {
  CodeGrid grid = {};  // vocabulary: of the largest group
  std::vector<int64_t> sizes = {};
};

/// Images to codes and back, through a trained model.
class Codec {
 public:
  /// Throws: UsageError for tables and for codes that the coder has no room for.
  explicit Codec(CodecParts parts);

  const CodecParts& parts() const { return parts_; }
  const FieldSpec& x() const { return parts_.spec.at("x"); }
  /// Top level first.
  const std::vector<CodeAlphabet>& alphabets() const { return alphabets_; }
  std::vector<CodeGrid> grids() const;
  int64_t codes_per_image() const;
  /// Extents of an image's codes as the model gives them: [h, w, G] or [T, G], a level each.
  const std::vector<Shape>& code_shapes() const { return code_shapes_; }
  /// Of an image: channels, height, width; a vector of D numbers is 1 x 1 x D.
  Shape image_shape() const;
  /// How many images are encoded and decoded at once.
  int64_t images_at_once() const;
  /// Shapes: [B, event...] -> each level's int64 [B, h, w, G], on the host.
  std::vector<Tensor> encode(const Tensor& x);
  /// The likelihood's mean. Shapes: as encode() gives -> float [B, event...], on the host.
  Tensor decode(const std::vector<Tensor>& codes);

 private:
  CodecParts parts_;
  std::vector<CodeAlphabet> alphabets_ = {};
  std::vector<Shape> code_shapes_ = {};
};

struct CompressOptions {
  /// None: autoregressive where there is such a prior, else whichever of uniform and empirical makes the smaller file.
  std::optional<CodingPrior> prior = {};
  /// 0: up to 256, fewer of large images. Each stream is decoded by itself, all its images at once.
  int64_t images_per_stream = 0;
  std::vector<std::string> names = {};  // one an image, or none
  /// How many images a phase ("encode", "code") has done, 0 at its start.
  std::function<void(std::string_view phase, int64_t done)> progress = {};
};

struct Compressed {
  std::vector<uint8_t> bytes = {};  // of the code file
  CodingReport report = {};
};

/// Images first, first + 1, …, in the model's units: [count, event...].
using ImageRows = std::function<Tensor(int64_t first, int64_t count)>;

/// Rows are asked for once, in order, images_at_once() each time. Codes are coded from the top level down, each given the one
/// above, position by position, the images of a stream side by side.
/// Throws: UsageError for no images, for an autoregressive prior that isn't there, and for what pack_code_file refuses.
Compressed compress_images(Codec& codec, const ImageRows& rows, int64_t num_images, const CompressOptions& options = {});
/// The same from codes (each level [N, h, w, G]); the report has no PSNR.
Compressed compress_codes(Codec& codec, const std::vector<Tensor>& codes, const CompressOptions& options = {});

namespace detail {
class StreamCoder;
}

/// The codes in a file. Throws: DataError for a file of another model or prior, and for streams that can't be.
class CodeReader {
 public:
  /// Both must outlive the reader.
  CodeReader(Codec& codec, const CodeFile& file);
  ~CodeReader();
  CodeReader(const CodeReader&) = delete;
  CodeReader& operator=(const CodeReader&) = delete;

  /// Each level's int64 [images_in_stream(index), h, w, G], the same whatever the number of threads or the machine.
  std::vector<Tensor> stream(int64_t index) const;

 private:
  const CodeFile& file_;
  std::unique_ptr<detail::StreamCoder> coder_;
};

}  // namespace elbo
