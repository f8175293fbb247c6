#pragma once
#include "elbo/data/dataset.h"

namespace elbo::fakes {

/// The rows of a batch as a data set, the same in every split.
class Tuples final : public Dataset {
 public:
  explicit Tuples(Batch whole, DataSpec spec = {}) : whole_(std::move(whole)), spec_(std::move(spec)) {}
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return whole_.size(); }
  int64_t batch_size() const override { return 64; }
  void load(at::Device) override {}
  Batch gather(Split, const Tensor& index, Stream&) const override {
    Batch batch{.fields = {}, .index = index};
    for (const auto& [name, field] : whole_.fields) {
      batch.fields[name].value = field.value.index_select(0, index);
      if (field.present.defined()) batch.fields[name].present = field.present.index_select(0, index);
    }
    return batch;
  }
  std::string fingerprint() const override { return "tuples"; }
  Tensor training_mean() const override { return {}; }

 private:
  Batch whole_;
  DataSpec spec_;
};

}  // namespace elbo::fakes
