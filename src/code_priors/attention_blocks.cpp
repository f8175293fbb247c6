#include "attention_blocks.h"

#include <algorithm>

namespace elbo::detail {

Tensor with_dropout(const Tensor& x, double dropout, Step* step) {
  if (!step || dropout == 0) return x;
  const auto kept = step->streams.model.uniform(x.sizes(), {}) >= dropout;
  return at::where(kept, x / (1 - dropout), 0.0);
}

NormWeights::NormWeights(int64_t width)
    : weight_(register_parameter("weight", torch::ones({width}))), bias_(register_parameter("bias", torch::zeros({width}))) {}

namespace {

std::shared_ptr<Layer> linear_of(torch::nn::Module& parent, const std::string& name, const AttentionOptions& options, int64_t in,
                                 int64_t out, Stream& init) {
  return parent.register_module(
      name, std::make_shared<Layer>(LayerOptions{.in = in, .out = out, .init = weight_init(options.init)}, init));
}

Tensor through(Layer& layer, const Tensor& x, Arithmetic& arithmetic) {
  return arithmetic.linear(x, layer.weight(), layer.bias());
}

/// Which keys (columns, from `first_key` on) a query (rows, from `first_query` on) must not see.
Tensor hidden_keys(int64_t first_query, int64_t queries, int64_t first_key, int64_t keys, int64_t window, at::Device device) {
  const auto options = torch::dtype(torch::kLong).device(device);
  const auto ahead = torch::arange(first_key, first_key + keys, options) -
                     torch::arange(first_query, first_query + queries, options).unsqueeze(1);
  return window > 0 ? ahead.gt(0).logical_or_(ahead.le(-window)) : ahead.gt(0);
}

}  // namespace

AttentionBlock::AttentionBlock(const AttentionOptions& options, Stream& init) : options_(options) {
  const auto width = options.width;
  attention_norm_ = register_module("attention_norm", std::make_shared<NormWeights>(width));
  attention_ = linear_of(*this, "attention", options, width, 3 * width, init);
  attention_output_ = linear_of(*this, "attention_output", options, width, width, init);
  wide_norm_ = register_module("wide_norm", std::make_shared<NormWeights>(width));
  wide_ = linear_of(*this, "wide", options, width, 4 * width, init);
  wide_output_ = linear_of(*this, "wide_output", options, 4 * width, width, init);
}

Tensor AttentionBlock::split(const Tensor& h, Arithmetic& arithmetic) const {
  return through(*attention_, attention_norm_->forward(h, arithmetic), arithmetic)
      .view({h.size(0), h.size(1), 3, options_.heads, options_.width / options_.heads})
      .permute({2, 0, 3, 1, 4});
}

Tensor AttentionBlock::attended(const Tensor& queries, const Tensor& keys, const Tensor& values, Arithmetic& arithmetic) const {
  if (options_.sees == Sees::everything) {
    return arithmetic.attend(arithmetic.softmax(arithmetic.scores(queries, keys)), values);
  }
  // A block of queries at a time, with the keys that one of them sees: what none sees costs nothing.
  constexpr int64_t kQueries = 256;
  const auto window = options_.window, T = queries.size(2);
  const auto block = window > 0 ? std::max<int64_t>(window, 32) : kQueries;
  std::vector<Tensor> mixed;
  for (int64_t from = 0; from < T; from += block) {
    const auto count = std::min(block, T - from);
    const auto first = window > 0 ? std::max<int64_t>(0, from - window + 1) : 0;
    const auto seen = from + count - first;
    const auto scores = arithmetic.scores(queries.narrow(2, from, count), keys.narrow(2, first, seen));
    const auto hidden = hidden_keys(from, count, first, seen, window, scores.device());
    mixed.push_back(arithmetic.attend(arithmetic.softmax(scores.masked_fill(hidden, -INFINITY)), values.narrow(2, first, seen)));
  }
  return mixed.size() == 1 ? mixed[0] : at::cat(mixed, 2);
}

Tensor AttentionBlock::finished(const Tensor& h, const Tensor& mixed, Arithmetic& arithmetic, Step* step) const {
  const auto added = through(*attention_output_, mixed.transpose(1, 2).reshape(h.sizes()), arithmetic);
  const auto middle = h + with_dropout(added, options_.dropout, step);
  const auto wide = arithmetic.gelu(through(*wide_, wide_norm_->forward(middle, arithmetic), arithmetic));
  return middle + with_dropout(through(*wide_output_, wide, arithmetic), options_.dropout, step);
}

Tensor AttentionBlock::forward(const Tensor& h, Arithmetic& arithmetic, Step* step) {
  const auto parts = split(h, arithmetic);
  return finished(h, attended(parts[0], parts[1], parts[2], arithmetic), arithmetic, step);
}

Tensor AttentionBlock::next(const Tensor& h, int64_t t, int64_t T, AttentionCache& cache, Arithmetic& arithmetic) {
  const auto parts = split(h, arithmetic);
  if (!cache.keys.defined()) {
    const Shape shape = {h.size(0), options_.heads, T, parts.size(-1)};
    cache = {.keys = at::empty(shape, parts.options()), .values = at::empty(shape, parts.options())};
  }
  cache.keys.narrow(2, t, 1).copy_(parts[1]);
  cache.values.narrow(2, t, 1).copy_(parts[2]);
  const auto seen = options_.window > 0 ? std::min(options_.window, t + 1) : t + 1;
  const auto scores = arithmetic.scores(parts[0], cache.keys.narrow(2, t + 1 - seen, seen));
  return finished(h, arithmetic.attend(arithmetic.softmax(scores), cache.values.narrow(2, t + 1 - seen, seen)), arithmetic,
                  nullptr);
}

AttentionStack::AttentionStack(const AttentionOptions& options, Stream& init) {
  for (int64_t i = 0; i < options.layers; ++i) blocks_.push_back(std::make_shared<AttentionBlock>(options, init));
  register_list(*this, "blocks", blocks_);
  norm_ = register_module("norm", std::make_shared<NormWeights>(options.width));
}

Tensor AttentionStack::forward(Tensor h, Arithmetic& arithmetic, Step* step) {
  for (const auto& block : blocks_) h = block->forward(h, arithmetic, step);
  return norm_->forward(h, arithmetic);
}

Tensor AttentionStack::next(Tensor h, int64_t t, int64_t T, std::vector<AttentionCache>& cache, Arithmetic& arithmetic) {
  cache.resize(blocks_.size());
  for (size_t i = 0; i < blocks_.size(); ++i) h = blocks_[i]->next(h, t, T, cache[i], arithmetic);
  return norm_->forward(h, arithmetic);
}

}  // namespace elbo::detail
