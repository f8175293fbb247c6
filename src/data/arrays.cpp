#include "arrays.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/math/tensors.h"

namespace elbo::detail {
namespace {

bool is_floating(DType type) { return type == DType::f16 || type == DType::f32 || type == DType::f64; }

[[noreturn]] void fail(const std::string& where, std::optional<int64_t> offset, const std::string& what) {
  throw DataError(where + (offset ? ": byte " + std::to_string(*offset) : "") + ": " + what);
}

/// The event shape: images without a channel get one.
Shape event_of(const ArrayRef& x) {
  Shape event(x.shape.begin() + 1, x.shape.end());
  if (event.size() == 2) event.insert(event.begin(), 1);
  return event;
}

FieldSpec number_spec(const ArrayRef& x, Values values) {
  if (x.shape.size() < 2) {
    fail(x.where, x.extents_offset, "extents " + shape_text(x.shape) + "; rows of numbers or images [N, ...] expected");
  }
  if (num_elements(x.shape) == 0) fail(x.where, x.extents_offset, "extents " + shape_text(x.shape) + ": there are no rows");
  FieldSpec spec{.shape = event_of(x)};
  if (x.dtype == DType::boolean) {
    spec.kind = ValueKind::binary;
  } else if (x.dtype == DType::u8) {
    spec.kind = values == Values::binary ? ValueKind::binary : values == Values::real ? ValueKind::real : ValueKind::unit;
    if (spec.kind == ValueKind::unit) spec.levels = 256;
  } else if (is_floating(x.dtype)) {
    spec.kind = values == Values::binary ? ValueKind::binary : values == Values::unit ? ValueKind::unit : ValueKind::real;
  } else {
    fail(x.where, {}, text("holds ", name_of(x.dtype), "; uint8, bool, float16, float32 or float64 expected"));
  }
  return spec;
}

void check_label_header(const ArrayRef& label, const ArrayRef& x) {
  const bool integers = label.dtype == DType::u8 || label.dtype == DType::i8 || label.dtype == DType::i16 ||
                        label.dtype == DType::i32 || label.dtype == DType::i64;
  if (!integers) fail(label.where, {}, text("labels are ", name_of(label.dtype), "; an integer type expected"));
  if (label.shape.size() != 1) {
    fail(label.where, label.extents_offset, "labels have extents " + shape_text(label.shape) + "; one a row, [N], expected");
  }
  if (label.shape[0] != x.shape[0]) {
    fail(label.where, label.extents_offset,
         text(with_commas(label.shape[0]), " labels, but ", x.where, " has ", with_commas(x.shape[0]), " rows"));
  }
}

void check_same_kind(const ArrayRef& x, const ArrayRef& train) {
  const bool same_event =
      x.shape.size() == train.shape.size() && std::equal(x.shape.begin() + 1, x.shape.end(), train.shape.begin() + 1);
  if (!same_event || x.dtype != train.dtype) {
    fail(x.where, x.extents_offset,
         text(name_of(x.dtype), " ", shape_text(x.shape), ", but ", train.where, " has ", name_of(train.dtype), " ",
              shape_text(train.shape), ": all but the number of rows must agree"));
  }
}

Tensor read_whole(const ArrayRef& array) {
  Array values = array.read();
  if (values.shape != array.shape || values.dtype != array.dtype) fail(array.where, {}, "changed while it was read");
  return to_tensor(std::move(values));
}

/// The first row where `wrong` ([N, ...] bool) is set, or -1.
int64_t first_row(const Tensor& wrong) {
  if (!wrong.any().item<bool>()) return -1;
  return wrong.flatten(1).any(1).nonzero()[0].item<int64_t>();
}

Tensor read_numbers(const ArrayRef& array, const FieldSpec& spec) {
  Tensor values = read_whole(array);
  if (values.scalar_type() == torch::kBool) values = values.to(torch::kByte);
  if (values.scalar_type() != torch::kByte) values = values.to(torch::kFloat);
  const auto demand = [&](const Tensor& right, const std::string& expected) {
    const int64_t row = first_row(right.logical_not());
    if (row >= 0) fail(array.where, {}, "row " + std::to_string(row) + " holds other numbers than " + expected);
  };
  if (values.scalar_type() == torch::kFloat) demand(values.isfinite(), "finite float32 ones");
  if (spec.kind == ValueKind::binary) demand(values.eq(0).logical_or(values.eq(1)), "0 and 1");
  if (spec.kind == ValueKind::unit && values.scalar_type() == torch::kFloat) {
    demand(values.ge(0).logical_and(values.le(1)), "those in [0, 1]");
  }
  return values.reshape(joined({values.size(0)}, spec.shape));
}

Tensor read_labels(const ArrayRef& array, int64_t classes) {
  const Tensor labels = read_whole(array).to(torch::kLong);
  const int64_t row = first_row(labels.lt(0).logical_or(labels.ge(classes)).unsqueeze(1));
  if (row >= 0) {
    const auto offset =
        array.data_offset ? std::optional(*array.data_offset + row * static_cast<int64_t>(size_of(array.dtype))) : std::nullopt;
    fail(array.where, offset,
         text("label ", labels[row].item<int64_t>(), " of row ", row, "; 0 to ", classes - 1, " expected (", classes,
              " classes)"));
  }
  return classes <= 256 ? labels.to(torch::kByte) : labels;
}

/// Taken for grey levels, such bytes would be 0 and 1/255: black pictures that train without a complaint.
void check_grey_levels(const ArrayRef& array, const Tensor& train) {
  if (train.max().item<int64_t>() > 1) return;
  fail(array.where, {}, "the bytes are all 0 or 1; say values: binary (or values: unit if they really are grey levels)");
}

/// The training part comes first.
std::map<std::string, Tensor> read_parts(const std::vector<Part>& parts, const DataSpec& spec, Values given) {
  std::map<std::string, std::vector<Tensor>> pieces;
  for (const auto& part : parts) {
    pieces["x"].push_back(read_numbers(part.x, spec.at("x")));
    if (part.label) pieces["label"].push_back(read_labels(*part.label, spec.at("label").num_classes));
  }
  const auto& train = parts.front().x;
  if (train.dtype == DType::u8 && given == Values::automatic) check_grey_levels(train, pieces["x"].front());
  std::map<std::string, Tensor> arrays;
  for (auto& [name, tensors] : pieces) arrays[name] = tensors.size() == 1 ? tensors.front() : torch::cat(tensors);
  return arrays;
}

}  // namespace

RowSource row_source(Parts given, PartsOptions options) {
  RowSource source;
  source.spec["x"] = number_spec(given.train.x, options.values);
  if (given.train.label) {
    source.spec["label"] = {.shape = {}, .kind = ValueKind::category, .num_classes = options.classes};
  }
  std::vector<Part> parts = {given.train};
  if (given.valid) parts.push_back(*given.valid);
  if (given.test) parts.push_back(*given.test);
  for (const auto& part : parts) {
    number_spec(part.x, options.values);
    check_same_kind(part.x, given.train.x);
    if (part.label.has_value() != given.train.label.has_value()) {
      fail(part.x.where, {}, "labels must be given for all splits or for none");
    }
    if (part.label) check_label_header(*part.label, part.x);
  }

  const int64_t num_train = given.train.x.shape[0];
  const int64_t num_valid = given.valid ? 0 : options.num_valid(num_train);
  const int64_t num_test = given.test ? 0 : options.num_test(num_train);
  if (num_train <= 2 && num_valid + num_test >= num_train) {
    fail(given.train.x.where, given.train.x.extents_offset,
         text("only ", count_of(num_train, "row"), ": too few to split in train, valid and test"));
  }
  source.rows = split_rows(num_train, num_valid, num_test, options.seed);
  int64_t begin = num_train;
  const auto append = [&](const std::optional<Part>& part, Split split) {
    if (!part) return;
    source.rows[static_cast<size_t>(split)] = torch::arange(begin, begin + part->x.shape[0]);
    begin += part->x.shape[0];
  };
  append(given.valid, Split::valid);
  append(given.test, Split::test);
  source.where = given.train.x.where;
  for (const auto& part : parts) {  // as read, and once more in the splits
    source.num_bytes += 2 * num_elements(part.x.shape) * static_cast<int64_t>(size_of(part.x.dtype));
  }
  source.read = [parts, spec = source.spec, given_values = options.values] { return read_parts(parts, spec, given_values); };
  return source;
}

void check_exists(const std::filesystem::path& path, const std::string& what_to_do) {
  std::error_code error;
  if (!std::filesystem::exists(path, error)) throw DataError(path.string() + ": no such file; " + what_to_do);
}

}  // namespace elbo::detail
