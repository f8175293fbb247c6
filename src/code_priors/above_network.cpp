#include "above_network.h"

#include <ATen/ops/constant_pad_nd.h>
#include <ATen/ops/embedding.h>
#include <ATen/ops/relu.h>
#include <torch/nn/modules/container/parameterlist.h>

#include <cmath>

namespace elbo::detail {
namespace {

Tensor with_margin(const Tensor& x) { return at::constant_pad_nd(x, {1, 1, 1, 1}); }

}  // namespace

struct AboveNetwork::Block final : torch::nn::Module {
  Block(int64_t width, Stream& init)
      : conv1(register_module(
            "conv1", std::make_shared<ScanConv>(ScanConvOptions{.in = width, .out = width, .rows = 3, .columns = 3}, init))),
        conv2(register_module("conv2", std::make_shared<ScanConv>(ScanConvOptions{.in = width, .out = width}, init))) {}
  Tensor forward(const Tensor& x, Arithmetic& arithmetic) {
    const auto h = conv1->forward(arithmetic, with_margin(at::relu(x)));
    return x + conv2->forward(arithmetic, at::relu(h));
  }
  std::shared_ptr<ScanConv> conv1, conv2;
};

AboveNetwork::AboveNetwork(const CodeGrid& grid, int64_t width, int64_t layers, Stream& init)
    : grid_(grid), tables_(register_tables(*this, "codes", grid, grid.groups, width, init)) {
  entry_ = register_module("entry",
                           std::make_shared<ScanConv>(ScanConvOptions{.in = width, .out = width, .rows = 3, .columns = 3}, init));
  for (int64_t i = 0; i < layers; ++i) blocks_.push_back(std::make_shared<Block>(width, init));
  register_list(*this, "blocks", blocks_);
}

Tensor AboveNetwork::forward(const Tensor& codes, Arithmetic& arithmetic) {
  check_shape(codes, {kAnyExtent, grid_.height, grid_.width, grid_.groups}, "codes of the level above");
  auto h = entry_->forward(arithmetic, with_margin(embedded(tables_, codes).permute({0, 3, 1, 2})));
  for (const auto& block : blocks_) h = block->forward(h, arithmetic);
  return at::relu(h);
}

std::vector<Tensor> register_tables(torch::nn::Module& parent, const std::string& name, const CodeGrid& grid, int64_t groups,
                                    int64_t width, Stream& init) {
  torch::nn::ParameterList list;
  const double scale = 1 / std::sqrt(static_cast<double>(grid.groups));
  for (int64_t g = 0; g < groups; ++g) list->append(normal_table(grid.vocabulary, width, scale, init).requires_grad_());
  parent.register_module(name, list);
  return list->parameters();
}

Tensor embedded(const std::vector<Tensor>& tables, const Tensor& codes) {
  auto sum = at::embedding(tables[0], codes.select(-1, 0));
  for (size_t g = 1; g < tables.size(); ++g) sum = sum + at::embedding(tables[g], codes.select(-1, static_cast<int64_t>(g)));
  return sum;
}

}  // namespace elbo::detail
