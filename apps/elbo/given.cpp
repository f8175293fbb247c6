#include "given.h"

#include <algorithm>
#include <charconv>
#include <numeric>
#include <optional>

#include "command.h"
#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/io/jpeg.h"
#include "elbo/io/npy.h"
#include "elbo/math/tensors.h"
#include "elbo/models/abilities.h"

namespace elbo {
namespace {

std::optional<int64_t> whole_number(std::string_view word) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  return error == std::errc() && end == word.data() + word.size() ? std::optional(value) : std::nullopt;
}

struct RowOfSplit {
  Split split = Split::test;
  int64_t row = 0;
};
std::optional<RowOfSplit> row_of_split(std::string_view word) {
  for (const auto& [name, split] : enum_names(Split{})) {
    if (!word.starts_with(name) || word.size() <= name.size() || word[name.size()] != ':') continue;
    if (const auto row = whole_number(word.substr(name.size() + 1)); row && *row >= 0) return RowOfSplit{split, *row};
  }
  return std::nullopt;
}

bool is_picture(const FieldSpec& spec) { return spec.shape.size() == 3 && (spec.shape[0] == 1 || spec.shape[0] == 3); }
bool is_class(const FieldSpec& spec) { return spec.kind == ValueKind::category && spec.shape.empty(); }

/// One value of one modality, told by a word.
class GivenValue {
 public:
  GivenValue(const std::string& modality, const std::string& field, const FieldSpec& spec, const std::string& word)
      : where_(text("--given ", modality, "=", word, ": ")), modality_(modality), field_(field), spec_(spec), word_(word) {}

  /// Shapes: [event...] on the host.
  Tensor read(const Dataset* dataset) const {
    if (const auto row = row_of_split(word_)) return from_split(*row, dataset);
    const auto extension = ending(word_);
    if (extension == ".npy") return checked(to_tensor(read_npy(word_)));
    if (extension == ".png" || extension == ".jpg" || extension == ".jpeg") return from_picture();
    if (const auto number = whole_number(word_); number && is_class(spec_)) return checked(torch::tensor(*number));
    throw UsageError(where_ + expectation());
  }

 private:
  std::string expectation() const {
    const auto file = is_picture(spec_) ? "a .png, .jpg or .npy file" : "an .npy file";
    return text(modality_, " is ", contents(), "; expected ",
                is_class(spec_) ? text("the number of a class, 0 to ", spec_.num_classes - 1) : std::string(file),
                ", or a row of the data such as test:17");
  }
  std::string contents() const {
    if (is_class(spec_)) return text("one of ", spec_.num_classes, " classes");
    if (is_picture(spec_)) {
      return text(spec_.shape[0] == 1 ? "a grey picture of " : "a colour picture of ", spec_.shape[2], " x ", spec_.shape[1],
                  " pixels");
    }
    return text(spec_.kind == ValueKind::category ? "classes " : "numbers ", shape_text(spec_.shape));
  }

  Tensor from_split(const RowOfSplit& row, const Dataset* dataset) const {
    const auto size = dataset->size(row.split);
    if (row.row >= size) throw UsageError(text(where_, "that split has ", count_of(size, "row"), ", expected 0 to ", size - 1));
    Stream nothing(0, "given", at::kCPU);
    const auto batch = dataset->gather(row.split, torch::tensor({row.row}), nothing);
    const auto& field = batch.fields.at(field_);
    if (field.present.defined() && !field.present[0].item<bool>()) {
      throw UsageError(text(where_, "that row has no ", modality_, "; choose another"));
    }
    return field.value[0].cpu();
  }

  Tensor from_picture() const {
    if (!is_picture(spec_)) throw UsageError(where_ + expectation());
    const bool grey = spec_.shape[0] == 1;
    const auto image = read_image(word_, {.grey = grey});
    if (image.width != spec_.shape[2] || image.height != spec_.shape[1]) {
      throw UsageError(text(where_, "the file is ", image.width, " x ", image.height, " pixels, and ", modality_, " is ",
                            contents(), ": scale it first"));
    }
    auto pixels = torch::tensor(at::ArrayRef<uint8_t>(image.pixels), torch::kByte)
                      .view({image.height, image.width, image.channels})
                      .permute({2, 0, 1});
    if (grey && image.channels == 3) {
      const auto weights = torch::tensor({0.299, 0.587, 0.114}).view({3, 1, 1});
      pixels = (pixels * weights).sum(0, /*keepdim=*/true).round();
    }
    auto values = pixels.to(torch::kFloat).expand(spec_.shape) / 255;
    if (spec_.kind == ValueKind::binary) values = (values > 0.5).to(torch::kFloat);
    return checked(values);
  }

  /// Of the right shape, in the range of the modality, in the type that models take.
  Tensor checked(Tensor value) const {
    if (value.dim() == static_cast<int64_t>(spec_.shape.size()) + 1 && value.size(0) == 1) value = value[0];
    if (value.sizes() != at::IntArrayRef(spec_.shape)) {
      throw UsageError(text(where_, "its shape is ", shape_text(value.sizes()), ", expected ", shape_text(spec_.shape), ": ",
                            modality_, " is ", contents()));
    }
    const bool whole = !value.is_floating_point();
    if (spec_.kind == ValueKind::category) {
      const auto classes = value.to(torch::kDouble);
      const bool fits = (classes == classes.round()).all().item<bool>() && classes.min().item<double>() >= 0 &&
                        classes.max().item<double>() < static_cast<double>(spec_.num_classes);
      if (!fits) throw UsageError(text(where_, "expected classes from 0 to ", spec_.num_classes - 1));
      return value.to(torch::kLong);
    }
    if (whole && spec_.kind == ValueKind::unit && spec_.levels > 1) value = value.to(torch::kFloat) / (spec_.levels - 1);
    value = value.to(torch::kFloat);
    const bool bounded = spec_.kind == ValueKind::unit || spec_.kind == ValueKind::binary;
    if (!value.isfinite().all().item<bool>() || (bounded && (value.min().item<float>() < 0 || value.max().item<float>() > 1))) {
      throw UsageError(text(where_, bounded ? "expected numbers in [0, 1]" : "expected finite numbers"));
    }
    return value.contiguous();
  }

  std::string where_, modality_, field_;
  FieldSpec spec_;
  std::string word_;
};

}  // namespace

GivenWords given_words(const std::vector<std::string>& options) {
  GivenWords given;
  for (const auto& option : options) {
    std::string field;
    for (const auto& word : split(option, ',')) {
      const auto equals = word.find('=');
      if (equals != std::string::npos) field = word.substr(0, equals);
      if (field.empty()) {
        throw UsageError("--given: got " + in_quotes(option) +
                         ", expected FIELD=CLASS, such as label=3, or of a model of several modalities FIELD=FILE or "
                         "FIELD=test:17");
      }
      given[field].push_back(equals == std::string::npos ? word : word.substr(equals + 1));
    }
  }
  return given;
}

bool reads_data(const GivenWords& words) {
  for (const auto& [field, values] : words) {
    for (const auto& value : values) {
      if (row_of_split(value)) return true;
    }
  }
  return false;
}

GivenClasses given_classes(const GivenWords& words) {
  GivenClasses given;
  for (const auto& [field, values] : words) {
    for (const auto& value : values) {
      const auto number = whole_number(value);
      if (!number) {
        throw UsageError("--given: got " + in_quotes(field + "=" + value) +
                         ", expected FIELD=CLASS with the number of a class, such as label=3");
      }
      given[field].push_back(*number);
    }
  }
  return given;
}

GivenModalities given_modalities(const GivenWords& words, const Multimodal& model, const DataSpec& spec, const Dataset* dataset,
                                 int64_t count, at::Device device) {
  const auto& names = model.modalities();
  GivenModalities given{.rows = rows_without_fields(count)};
  std::map<std::string, std::vector<Tensor>> read;
  for (const auto& [name, values] : words) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      throw UsageError(text("--given ", name, ": this model has no such modality",
                            did_you_mean(name, names, "the modalities are " + join(names, ", "))));
    }
    const auto field = model.field_of(name);
    for (const auto& word : values) read[name].push_back(GivenValue(name, field, spec.at(field), word).read(dataset));
    given.turns = std::lcm(given.turns, static_cast<int64_t>(values.size()));
  }
  if (given.turns > count) {
    throw UsageError(text("--given: the values in turn make ", given.turns, " different rows, more than --count ", count));
  }
  for (const auto& [name, tensors] : read) {
    const auto all = torch::stack(tensors);
    const auto turn = torch::arange(given.turns).remainder(all.size(0));
    given.values[name] = all.index_select(0, turn);
    given.rows.fields[model.field_of(name)] = {.value = all.index_select(0, given.rows.index.remainder(all.size(0))).to(device)};
  }
  return given;
}

}  // namespace elbo
