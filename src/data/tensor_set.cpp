#include "elbo/data/tensor_set.h"

#include "elbo/base/error.h"
#include "elbo/base/text.h"
#include "elbo/data/kind_name.h"
#include "elbo/data/memory_dataset.h"

namespace elbo {
namespace {

/// The element types that a MemoryDataset keeps.
Tensor compact(const Tensor& x, ValueKind kind) {
  const auto host = x.detach().to(at::kCPU).contiguous();
  return host.scalar_type() == at::kByte && kind != ValueKind::real ? host : host.to(at::kFloat);
}

void check_values(const Tensor& x, ValueKind kind) {
  const bool bytes = x.scalar_type() == at::kByte;
  const bool right = kind == ValueKind::binary ? x.eq(0).logical_or(x.eq(1)).all().item<bool>()
                     : kind == ValueKind::unit ? bytes || x.ge(0).logical_and(x.le(1)).all().item<bool>()
                                               : bytes || x.isfinite().all().item<bool>();
  if (right) return;
  throw DataError(text("a data set's x: expected ",
                       kind == ValueKind::binary ? "0 and 1"
                       : kind == ValueKind::unit ? "values in [0, 1], or bytes"
                                                 : "finite values",
                       " of kind ", kind_name(kind), "; say another kind, or scale x"));
}

}  // namespace

std::shared_ptr<Dataset> make_tensor_set(const Tensor& x, const TensorSetOptions& options, const Tensor& label) {
  if (x.dim() < 2) throw ShapeError(text("a data set's x: got ", shape_text(x.sizes()), ", expected [N, event...]"));
  if (options.kind == ValueKind::category || options.kind == ValueKind::table)
    throw UsageError("a data set's x made from a tensor is real, unit or binary");
  check_values(x, options.kind);
  const auto N = x.size(0);
  const int64_t levels = x.scalar_type() == at::kByte && options.kind == ValueKind::unit ? 256 : 0;
  std::map<std::string, Tensor> arrays = {{"x", compact(x, options.kind)}};
  RowSource source{.spec = {{"x", {.shape = x.sizes().slice(1).vec(), .kind = options.kind, .levels = levels}}}};
  if (label.defined()) {
    if (label.dim() != 1 || label.size(0) != N)
      throw ShapeError(text("a data set's label: got ", shape_text(label.sizes()), ", expected [", N, "]"));
    source.spec["label"] = {.shape = {}, .kind = ValueKind::category, .num_classes = options.classes};
    arrays["label"] = label.detach().to(at::kCPU, at::kLong).contiguous();
  }
  source.rows =
      split_rows(N, num_held_out(options.split.valid_fraction, N), num_held_out(options.split.test_fraction, N), options.seed);
  source.read = [arrays = std::move(arrays)] { return arrays; };
  return std::make_shared<MemoryDataset>(std::move(source), options.options, options.seed);
}

}  // namespace elbo
