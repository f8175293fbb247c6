#pragma once
#include <cmath>

#include "elbo/data/dataset.h"
#include "elbo/math/random.h"
#include "support/tensors.h"

namespace elbo::fakes {

/// Things of V classes as modalities m0, m1, … [6]: the class in one place of 6, under noise, and the label. Training rows are
/// others than test rows. `lacking`: a modality of which every third row is NaN and marked as absent.
class Labelled final : public Dataset {
 public:
  struct Options {
    int64_t modalities = 3;
    int64_t classes = 4;
    int64_t rows = 400;
    double noise = 0.5;
    std::string lacking = {};
    double absent_value = NAN;
    int64_t absent_label = 0;  // is added to the labels of rows that lack something
    std::string fingerprint = "labelled";
  };
  explicit Labelled(const Options& options) : options_(options) {
    spec_["label"] = {.kind = ValueKind::category, .num_classes = options.classes};
    for (int64_t m = 0; m < options.modalities; ++m) spec_[name(m)] = {.shape = {6}, .kind = ValueKind::real};
    for (const auto split : {Split::train, Split::valid, Split::test}) rows_[static_cast<size_t>(split)] = draw(split);
  }
  static std::string name(int64_t m) { return "m" + std::to_string(m); }
  const DataSpec& spec() const override { return spec_; }
  int64_t size(Split) const override { return options_.rows; }
  int64_t batch_size() const override { return 64; }
  void load(at::Device) override {}
  Batch gather(Split split, const Tensor& index, Stream&) const override {
    Batch batch{.fields = {}, .index = index};
    for (const auto& [field_name, field] : whole(split).fields) {
      batch.fields[field_name].value = field.value.index_select(0, index);
      if (field.present.defined()) batch.fields[field_name].present = field.present.index_select(0, index);
    }
    return batch;
  }
  std::string fingerprint() const override { return options_.fingerprint; }
  Tensor training_mean() const override { return {}; }
  const Batch& whole(Split split) const { return rows_.at(static_cast<size_t>(split)); }

 private:
  Batch draw(Split split) const {
    Stream noise(static_cast<uint64_t>(split) + 5, "labelled", at::kCPU);
    const auto N = options_.rows;
    const auto label = (noise.uniform({N}, {}) * options_.classes).to(at::kLong);
    Batch batch{.fields = {{"label", {.value = label}}}, .index = torch::arange(N)};
    for (int64_t m = 0; m < options_.modalities; ++m) {
      const auto places = torch::arange(6).unsqueeze(0) == ((label + m) % 6).unsqueeze(1);
      auto x = 10 * (places + options_.noise * noise.normal({N}, {6}));  // of another scale than 1
      auto& field = batch.fields[name(m)];
      if (name(m) == options_.lacking) {
        field.present = torch::arange(N) % 3 != 0;
        x = torch::where(field.present.unsqueeze(1), x, options_.absent_value);
      }
      field.value = x;
      if (field.present.defined()) {
        auto& told = batch.fields["label"].value;
        told = torch::where(field.present, told, (told + options_.absent_label) % options_.classes);
      }
    }
    return batch;
  }

  Options options_;
  DataSpec spec_ = {};
  std::array<Batch, 3> rows_ = {};
};

inline std::shared_ptr<Labelled> labelled(const Labelled::Options& options) { return std::make_shared<Labelled>(options); }

}  // namespace elbo::fakes
