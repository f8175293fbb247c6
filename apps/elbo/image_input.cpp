#include "image_input.h"

#include <algorithm>
#include <set>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/loader.h"
#include "elbo/io/code_file.h"
#include "elbo/io/file.h"
#include "elbo/io/jpeg.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "output.h"
#include "standard_streams.h"

namespace elbo {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kSplitPrefix = "split:";

bool is_picture_name(const fs::path& path) {
  const auto extension = ending(path);
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

/// 8-bit levels in the model's units; of binary data what is above the middle is 1.
Tensor from_bytes(const Tensor& levels, const FieldSpec& x) {
  const auto values = levels.to(torch::kFloat) / 255;
  return x.kind == ValueKind::binary ? values.gt(0.5).to(torch::kFloat) : values;
}

/// A grey picture read as colour is grey in all channels; colour is read as grey only where it is.
Tensor to_values(const Image& image, const FieldSpec& x, const std::string& where) {
  if (image.height != x.shape[1] || image.width != x.shape[2]) {
    throw DataError(
        text(where, ": ", image.width, " x ", image.height, " pixels, and the model reads ", contents_of(x), "; scale it first"));
  }
  auto pixels = torch::tensor(at::ArrayRef<uint8_t>(image.pixels), torch::kByte)
                    .view({image.height, image.width, image.channels})
                    .permute({2, 0, 1});
  if (image.channels == 3 && x.shape[0] == 1) {
    if (!pixels[0].equal(pixels[1]) || !pixels[0].equal(pixels[2])) {
      throw DataError(text(where, ": a colour picture, and the model reads ", contents_of(x), "; convert it first"));
    }
    pixels = pixels.narrow(0, 0, 1);
  }
  return from_bytes(pixels.expand(x.shape), x);
}

void check_takes_pictures(const FieldSpec& x, const std::string& where) {
  if (reads_pictures(x)) return;
  throw DataError(text(where, ": a picture, and the model reads numbers ", shape_text(x.shape), "; give an .npz with array x"));
}

/// Shapes: the array [N, event...], or of grey pictures [N, h, w].
Tensor checked_array(Array array, const FieldSpec& x, const std::string& where) {
  auto values = to_tensor(std::move(array));
  const auto expected = joined({values.dim() > 0 ? values.size(0) : 0}, x.shape);
  if (reads_pictures(x) && x.shape[0] == 1 && values.dim() == 3) values = values.unsqueeze(1);
  if (values.sizes() != at::IntArrayRef(expected) || values.size(0) == 0) {
    throw DataError(text(where, ": array x has the shape ", shape_text(values.sizes()), ", expected [N, ",
                         shape_text(x.shape).substr(1), ": each row is ", contents_of(x)));
  }
  const bool bounded = x.kind == ValueKind::unit || x.kind == ValueKind::binary;
  const bool bits = x.kind == ValueKind::binary && values.scalar_type() == at::kByte && values.max().item<uint8_t>() <= 1;
  if (values.scalar_type() == at::kByte && bounded && !bits) return from_bytes(values, x);
  values = values.to(at::kFloat);
  if (!values.isfinite().all().item<bool>() || (bounded && (values.min().item<float>() < 0 || values.max().item<float>() > 1))) {
    throw DataError(text(where, ": array x has ", bounded ? "numbers outside of [0, 1]" : "numbers that aren't finite"));
  }
  return values;
}

Tensor read_array(const fs::path& path, const FieldSpec& x, const std::string& where) {
  if (ending(path) == ".npy") return checked_array(read_npy(path), x, where);
  const NpzReader archive(path);
  const auto& names = archive.names();
  if (names.size() != 1 && !archive.contains("x")) {
    throw DataError(where + ": expected an array named x; there are " + join(names, ", "));
  }
  return checked_array(archive.read(archive.contains("x") ? "x" : names.front()), x, where);
}

ImageInput from_tensor(const Tensor& x, int64_t limit) {
  const auto count = limit > 0 ? std::min(limit, x.size(0)) : x.size(0);
  return {.count = count, .rows = [x](int64_t first, int64_t rows) { return x.narrow(0, first, rows); }};
}

/// What the first bytes say the file is.
std::string_view ending_of(const std::vector<uint8_t>& bytes) {
  const std::string_view head(reinterpret_cast<const char*>(bytes.data()), std::min<size_t>(bytes.size(), 8));
  if (head.starts_with("\x89PNG")) return ".png";
  if (head.starts_with("\xff\xd8")) return ".jpg";
  if (head.starts_with("\x93NUMPY")) return ".npy";
  if (head.starts_with("PK")) return ".npz";
  throw DataError("standard input: holds neither a PNG or JPEG nor an .npy or .npz");
}

ImageInput from_standard_input(const FieldSpec& x, int64_t limit) {
  const std::string where = "standard input";
  const auto bytes = read_standard_input();
  const auto kind = ending_of(bytes);
  const TemporaryFile file(kind);
  write_atomically(file.path(), std::as_bytes(std::span(bytes)));
  try {
    if (kind.starts_with(".np")) return from_tensor(read_array(file.path(), x, where), limit);
    check_takes_pictures(x, where);
    return from_tensor(to_values(read_image(file.path()), x, where).unsqueeze(0), limit);
  } catch (const DataError& error) {  // nobody has seen the temporary name
    std::string message = error.what();
    const auto name = file.path().string();
    for (auto at = message.find(name); at != std::string::npos; at = message.find(name)) message.replace(at, name.size(), where);
    throw DataError(message);
  }
}

ImageInput from_split(const OpenedRun& run, const Codec& codec, const std::string& name, int64_t limit) {
  const auto at_once = codec.images_at_once();
  const auto loader =
      std::make_shared<SequentialLoader>(run.experiment.dataset, split_named(name, "split:" + name), at_once, limit);
  return {.count = loader->num_examples(),
          .rows = [loader, at_once](int64_t first, int64_t /*rows*/) { return loader->at(first / at_once).at("x"); }};
}

struct PictureFile {
  fs::path path = {};
  std::string name = {};
};

/// Folders in order of names; a picture in a folder below is named FOLDER_PICTURE.
std::vector<PictureFile> picture_files(const std::vector<std::string>& words) {
  std::vector<PictureFile> files;
  for (const auto& word : words) {
    if (!fs::is_directory(word)) {
      files.push_back({word, fs::path(word).filename().string()});
      continue;
    }
    std::vector<PictureFile> found;
    std::error_code unreadable;
    fs::path folder = word;  // the one that is opened next
    for (fs::recursive_directory_iterator entry(word, unreadable), end; !unreadable && entry != end;) {
      folder = entry->path();
      std::error_code dangling;
      if (entry->is_regular_file(dangling) && is_picture_name(folder)) {
        auto name = folder.lexically_relative(word).generic_string();
        std::replace(name.begin(), name.end(), '/', '_');
        found.push_back({folder, name});
      }
      entry.increment(unreadable);
    }
    if (unreadable) throw DataError(text(folder.string(), ": can't be read: ", unreadable.message()));
    if (found.empty()) throw DataError(word + ": the folder holds no .png, .jpg or .jpeg");
    std::sort(found.begin(), found.end(), [](const auto& a, const auto& b) { return a.path < b.path; });
    files.insert(files.end(), found.begin(), found.end());
  }
  return files;
}

/// a.png, a.jpg and another a.png become a.png, a-2.jpg and a-3.png: they come back as PNGs beside each other.
std::vector<std::string> distinct_names(const std::vector<PictureFile>& files) {
  std::set<std::string> stems;
  std::vector<std::string> names;
  for (const auto& file : files) {
    const fs::path name = file.name;
    auto stem = name.stem().string();
    for (int64_t i = 2; !stems.insert(stem).second; ++i) stem = text(name.stem().string(), "-", i);
    names.push_back(stem + name.extension().string());
  }
  return names;
}

ImageInput from_files(const std::vector<std::string>& words, const FieldSpec& x, int64_t limit) {
  auto files = std::make_shared<std::vector<PictureFile>>(picture_files(words));
  std::vector<fs::path> paths;
  for (const auto& file : *files) paths.push_back(file.path);
  if (limit > 0 && static_cast<size_t>(limit) < files->size()) files->resize(static_cast<size_t>(limit));
  for (const auto& file : *files) {
    check_takes_pictures(x, file.path.string());
    if (!fs::exists(file.path)) throw DataError(file.path.string() + ": there is no such file");
  }
  auto names = distinct_names(*files);
  for (size_t i = 0; i < names.size(); ++i) {
    auto problem = code_name_problem(names[i]);
    if (problem.empty()) problem = png_name_problem(names[i]);
    if (problem.empty()) continue;
    throw DataError(in_quotes((*files)[i].path.string()) + ": its name in the file would be " + in_quotes(names[i]) + ", which " +
                    problem + "; rename the picture, or compress the folder that it lies in by itself");
  }
  const auto read = [files, x](int64_t first, int64_t rows) {
    std::vector<Tensor> values;
    for (int64_t i = first; i < first + rows; ++i) {
      const auto& path = (*files)[static_cast<size_t>(i)].path;
      values.push_back(to_values(read_image(path), x, path.string()));
    }
    return torch::stack(values);
  };
  const auto count = static_cast<int64_t>(files->size());
  return {.count = count, .names = std::move(names), .files = std::move(paths), .rows = read};
}

}  // namespace

bool names_a_split(const std::string& word) { return word.starts_with(kSplitPrefix); }

bool reads_pictures(const FieldSpec& x) {
  const bool unit = x.kind == ValueKind::unit || x.kind == ValueKind::binary;
  return unit && x.shape.size() == 3 && (x.shape[0] == 1 || x.shape[0] == 3);
}

std::string contents_of(const FieldSpec& x) {
  if (!reads_pictures(x)) return "numbers " + shape_text(x.shape);
  return text(x.shape[0] == 1 ? "a grey picture of " : "a colour picture of ", x.shape[2], " x ", x.shape[1], " pixels");
}

ImageInput image_input(const std::vector<std::string>& words, const OpenedRun& run, const Codec& codec, int64_t limit) {
  const auto& x = codec.x();
  for (const auto& word : words) {
    const auto extension = ending(word);
    const bool is_array = (extension == ".npy" || extension == ".npz") && !fs::is_directory(word);
    if (word != "-" && !names_a_split(word) && !is_array) continue;
    if (words.size() > 1) throw UsageError(in_quotes(word) + " stands beside other images; compress it by itself");
    if (word == "-") return from_standard_input(x, limit);
    if (is_array) {
      auto input = from_tensor(read_array(word, x, word), limit);
      input.files = {word};
      return input;
    }
    return from_split(run, codec, word.substr(kSplitPrefix.size()), limit);
  }
  return from_files(words, x, limit);
}

}  // namespace elbo
