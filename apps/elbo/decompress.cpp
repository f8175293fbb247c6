#include <iostream>
#include <set>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/log.h"
#include "elbo/base/progress.h"
#include "elbo/base/text.h"
#include "elbo/experiment/codec.h"
#include "elbo/io/file.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "image_input.h"
#include "output.h"
#include "standard_streams.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

/// Takes what a stream held.
class ImageSink {
 public:
  virtual ~ImageSink() = default;
  virtual bool wants_images() const { return true; }
  /// Shapes: x [n, event...] (undefined where not wanted), each level's codes [n, h, w, G].
  virtual void put(const Tensor& x, const std::vector<Tensor>& codes) = 0;
  virtual void finish() {}
};

/// PNG files named as the originals were, in a folder; or one file of that name.
class PictureSink final : public ImageSink {
 public:
  PictureSink(const std::string& out, const CodeFile& file) {
    const auto& header = file.header();
    if (ending(out) == ".png") {
      if (header.num_images > 1) {
        throw UsageError(text("--out: ", in_quotes(out), " is one picture, and the file holds ",
                              count_of(header.num_images, "image"), "; name a folder or an .npz"));
      }
      check_output_folder("out", out);
      paths_.push_back(out);
      return;
    }
    const auto digits = std::to_string(std::max<int64_t>(header.num_images - 1, 0)).size();
    std::set<fs::path> taken;
    for (int64_t i = 0; i < header.num_images; ++i) {
      auto name = std::to_string(i);
      name.insert(0, digits - name.size(), '0');
      if (!header.names.empty()) name = header.names[static_cast<size_t>(i)];
      if (const auto problem = png_name_problem(name); !problem.empty()) {
        throw DataError(file.origin() + ": the name " + in_quotes(name) + " " + problem + "; write an .npz");
      }
      paths_.push_back(fs::path(out) / png_name(name));
      if (!taken.insert(paths_.back()).second) {
        throw DataError(file.origin() + ": two images are named " + in_quotes(png_name(name)) + "; write an .npz");
      }
      if (fs::exists(paths_.back())) {
        throw UsageError("--out: there is a file " + in_quotes(paths_.back().string()) +
                         " already; name another folder, so that no original is lost");
      }
    }
    if (fs::exists(out) && !fs::is_directory(out)) {
      throw UsageError("--out: " + in_quotes(out) + " is a file; name a folder, a .png or an .npz");
    }
    fs::create_directories(out);
  }

  void put(const Tensor& x, const std::vector<Tensor>& /*codes*/) override {
    const auto pixels = (x.nan_to_num(0).clamp(0, 1) * 255).round().to(at::kByte).permute({0, 2, 3, 1}).contiguous();
    const auto bytes = pixels[0].numel();
    for (int64_t i = 0; i < pixels.size(0); ++i) {
      const auto* first = pixels.const_data_ptr<uint8_t>() + i * bytes;
      write_png(paths_.at(next_++), {.width = static_cast<int>(pixels.size(2)),
                                     .height = static_cast<int>(pixels.size(1)),
                                     .channels = static_cast<int>(pixels.size(3)),
                                     .pixels = {first, first + bytes}});
    }
  }

 private:
  std::vector<fs::path> paths_ = {};
  size_t next_ = 0;
};

/// Arrays x and codes (of several levels codes_0, …, the top first), as elbo encode names them.
class ArraySink final : public ImageSink {
 public:
  ArraySink(std::string out, bool with_images, std::vector<Shape> code_shapes)
      : out_(std::move(out)), with_images_(with_images), shapes_(std::move(code_shapes)), codes_(shapes_.size()) {}
  bool wants_images() const override { return with_images_; }
  void put(const Tensor& x, const std::vector<Tensor>& codes) override {
    if (with_images_) x_.push_back(x);
    for (size_t level = 0; level < codes.size(); ++level) {
      codes_[level].push_back(codes[level].reshape(joined({codes[level].size(0)}, shapes_[level])));
    }
  }
  void finish() override {
    std::vector<std::pair<std::string, Tensor>> whole;
    if (with_images_) whole.emplace_back("x", torch::cat(x_));
    for (size_t level = 0; level < codes_.size(); ++level) {
      whole.emplace_back(codes_.size() > 1 ? "codes_" + std::to_string(level) : "codes", torch::cat(codes_[level]));
    }
    std::vector<std::pair<std::string, ArrayView>> arrays;
    for (const auto& [name, values] : whole) arrays.emplace_back(name, view_of(values));
    if (out_ != "-") return write_npz(out_, arrays);
    const TemporaryFile file(".npz");
    write_npz(file.path(), arrays);
    write_standard_output(read_bytes(file.path(), size_t{1} << 40));
  }

 private:
  std::string out_;
  bool with_images_;
  std::vector<Shape> shapes_;
  std::vector<Tensor> x_ = {};
  std::vector<std::vector<Tensor>> codes_;
};

std::unique_ptr<ImageSink> sink_for(const std::string& out, bool only_codes, const CodeFile& file, const Codec& codec) {
  const bool is_array = out == "-" || ending(out) == ".npz";
  if (is_array) {
    if (out != "-") check_output_folder("out", out);
    return std::make_unique<ArraySink>(out, !only_codes, codec.code_shapes());
  }
  for (const auto* other : {".jpg", ".jpeg", ".webp", ".npy"}) {
    if (ending(out) == other && !fs::is_directory(out)) {
      throw UsageError("--out: got " + in_quotes(out) +
                       "; pictures are written as .png, into a folder or a .png, arrays as .npz");
    }
  }
  if (only_codes) throw UsageError("--codes: codes are no pictures; let --out end in .npz, or be -");
  if (!reads_pictures(codec.x()))
    throw UsageError("--out: this model gives " + contents_of(codec.x()) + ", no pictures; write an .npz");
  return std::make_unique<PictureSink>(out, file);
}

}  // namespace

int run_decompress(const std::vector<std::string>& words) {
  CommandLine line("decompress",
                   "Turns a file of elbo compress into images again, with the run that compressed it: the same codes on every "
                   "machine, and the model's reconstructions of them. FILE is - for standard input.",
                   "RUN FILE",
                   {"elbo decompress RUN images.elbo --out images     (a PNG an image, named as the originals)",
                    "elbo decompress RUN test.elbo --out test.npz", "elbo decompress RUN test.elbo --codes --out codes.npz",
                    "elbo decompress RUN - --out photo.png < photo.elbo"});
  line.add()("out",
             "a folder for PNGs, a .png for one image, an .npz with arrays x and codes, or - for an .npz on standard output",
             cxxopts::value<std::string>());
  line.add()("codes", "only the codes, no images: into an .npz");
  line.add()("quiet", "no progress");
  line.add_runtime();
  if (!line.parse(words, 2, 2)) return 0;
  if (line.has("quiet")) set_log_level(LogLevel::warn);
  const auto out = line.find<std::string>("out");
  if (!out) throw UsageError("--out is missing: a folder, a .png, an .npz or -");

  const auto& path = line.positional()[1];
  if (path != "-" && *out != "-" && same_file(path, *out)) {
    throw UsageError("--out: " + in_quotes(*out) + " is the file of codes; choose another name");
  }
  const auto file = path == "-" ? CodeFile(read_standard_input(), "standard input") : CodeFile::read(path);
  if (file.header().num_images == 0) throw DataError(file.origin() + ": holds no image");  // elbo compress writes no such file
  const auto opened = open_run(line.positional()[0], line.runtime(), DataUse::headers);
  Codec codec(codec_parts(opened));
  const CodeReader reader(codec, file);
  const auto sink = sink_for(*out, line.has("codes"), file, codec);
  std::unique_ptr<Progress> progress;
  if (!line.has("quiet")) progress = std::make_unique<Progress>("decompress", file.header().num_images, "img");
  if (progress) progress->update(0);
  int64_t done = 0;
  for (int64_t i = 0; i < file.header().num_streams(); ++i) {
    const auto codes = reader.stream(i);
    const auto count = codes.at(0).size(0);
    for (int64_t first = 0; first < count; first += codec.images_at_once()) {
      std::vector<Tensor> part;
      for (const auto& level : codes) part.push_back(level.narrow(0, first, std::min(codec.images_at_once(), count - first)));
      sink->put(sink->wants_images() ? codec.decode(part) : Tensor(), part);
    }
    done += count;
    if (progress) progress->update(done);
  }
  if (progress) progress->finish();
  sink->finish();
  std::cerr << count_of(file.header().num_images, "image") << " in " << (*out == "-" ? "standard output" : *out)
            << " (coded under "
            << (file.header().prior == CodingPrior::autoregressive ? "the trained prior"
                                                                   : name_of(file.header().prior) + " frequencies")
            << ")\n";
  return 0;
}

}  // namespace elbo
