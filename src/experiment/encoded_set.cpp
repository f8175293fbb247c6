#include <map>

#include "elbo/base/progress.h"
#include "elbo/data/loader.h"
#include "elbo/experiment/base.h"
#include "elbo/math/upload.h"

namespace elbo {
namespace {

class EncodedSet final : public Dataset {
 public:
  EncodedSet(std::shared_ptr<Dataset> inner, CodePriorModel& model, at::Device device) : inner_(std::move(inner)) {
    const torch::NoGradGuard no_grad;
    Progress progress("codes", inner_->size(Split::train) + inner_->size(Split::valid), "img");
    int64_t done = 0;
    for (const auto split : {Split::train, Split::valid}) {
      const SequentialLoader loader(inner_, split, 512);
      std::map<std::string, std::vector<Tensor>> parts;
      for (int64_t i = 0; i < loader.num_batches(); ++i) {
        const auto batch = loader.at(i);
        const auto codes = model.codes(batch);
        for (size_t level = 0; level < codes.size(); ++level) {
          parts[model.code_fields()[level]].push_back(codes[level].to(device, torch::kInt));
        }
        for (const auto& condition : model.conditions()) parts[condition].push_back(model.labels(batch).to(device));
        progress.update(done += batch.size());
      }
      for (const auto& [name, tensors] : parts) stored_[static_cast<size_t>(split)][name] = torch::cat(tensors);
    }
    progress.finish();
  }

  const DataSpec& spec() const override { return inner_->spec(); }
  int64_t size(Split split) const override { return inner_->size(split); }
  int64_t batch_size() const override { return inner_->batch_size(); }
  void load(at::Device device) override { inner_->load(device); }
  std::string fingerprint() const override { return inner_->fingerprint(); }
  Tensor training_mean() const override { return inner_->training_mean(); }

  Batch gather(Split split, const Tensor& index, Stream& stream) const override {
    auto batch = split == Split::train ? Batch{.fields = {}, .index = index} : inner_->gather(split, index, stream);
    for (const auto& [name, values] : stored_[static_cast<size_t>(split)]) {
      batch.fields[name] = {.value = values.index_select(0, upload(index, values.device())).to(torch::kLong)};
    }
    return batch;
  }
  void prefetch(Split split, const Tensor& index) const override {
    if (split != Split::train) inner_->prefetch(split, index);
  }

 private:
  std::shared_ptr<Dataset> inner_;
  std::array<std::map<std::string, Tensor>, 3> stored_ = {};
};

}  // namespace

std::shared_ptr<Dataset> encoded_set(std::shared_ptr<Dataset> dataset, CodePriorModel& model, at::Device device) {
  model.eval();
  auto encoded = std::make_shared<EncodedSet>(std::move(dataset), model, device);
  model.train();
  model.base().eval();
  return encoded;
}

}  // namespace elbo
