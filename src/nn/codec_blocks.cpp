#include "elbo/nn/codec_blocks.h"

#include <algorithm>

#include "elbo/nn/gdn.h"
#include "elbo/nn/layer.h"

namespace elbo {
namespace {

constexpr int64_t kTwice = 2;

std::shared_ptr<Layer> codec_conv(int64_t from, int64_t to, int64_t kernel, int64_t stride, Stream& init) {
  return std::make_shared<Layer>(
      LayerOptions{.kind = LayerKind::conv, .in = from, .out = to, .kernel = kernel, .stride = stride, .padding = kernel / 2},
      init);
}

Tensor leaky(const Tensor& x) { return torch::leaky_relu(x, 0.01); }

class ConvBlock final : public MapBlock {
 public:
  ConvBlock(int64_t from, int64_t to, int64_t kernel, Stream& init) {
    conv_ = register_module("conv", codec_conv(from, to, kernel, 1, init));
  }
  Tensor forward(const Tensor& x) override { return conv_->forward(x); }

 private:
  std::shared_ptr<Layer> conv_;
};

class CodecResidual final : public MapBlock {
 public:
  CodecResidual(int64_t channels, Stream& init) {
    conv1_ = register_module("conv1", codec_conv(channels, channels, 3, 1, init));
    conv2_ = register_module("conv2", codec_conv(channels, channels, 3, 1, init));
  }
  Tensor forward(const Tensor& x) override { return x + leaky(conv2_->forward(leaky(conv1_->forward(x)))); }

 private:
  std::shared_ptr<Layer> conv1_, conv2_;
};

class HalvingBlock final : public MapBlock {
 public:
  HalvingBlock(int64_t from, int64_t to, Stream& init) {
    conv1_ = register_module("conv1", codec_conv(from, to, 3, 2, init));
    conv2_ = register_module("conv2", codec_conv(to, to, 3, 1, init));
    gdn_ = register_module("gdn", std::make_shared<Gdn>(to, GdnDirection::divide));
    shortcut_ = register_module("shortcut", codec_conv(from, to, 1, 2, init));
  }
  Tensor forward(const Tensor& x) override {
    return shortcut_->forward(x) + gdn_->forward(conv2_->forward(leaky(conv1_->forward(x))));
  }

 private:
  std::shared_ptr<Layer> conv1_, conv2_, shortcut_;
  std::shared_ptr<Gdn> gdn_;
};

class ShufflingConv final : public MapBlock {
 public:
  ShufflingConv(int64_t from, int64_t to, Stream& init) {
    conv_ = register_module("conv", codec_conv(from, kTwice * kTwice * to, 3, 1, init));
  }
  Tensor forward(const Tensor& x) override { return torch::pixel_shuffle(conv_->forward(x), kTwice); }

 private:
  std::shared_ptr<Layer> conv_;
};

class DoublingBlock final : public MapBlock {
 public:
  DoublingBlock(int64_t from, int64_t to, Stream& init) {
    conv1_ = register_module("conv1", make_shuffling_conv(from, to, init));
    conv2_ = register_module("conv2", codec_conv(to, to, 3, 1, init));
    gdn_ = register_module("gdn", std::make_shared<Gdn>(to, GdnDirection::multiply));
    shortcut_ = register_module("shortcut", make_shuffling_conv(from, to, init));
  }
  Tensor forward(const Tensor& x) override {
    return shortcut_->forward(x) + gdn_->forward(conv2_->forward(leaky(conv1_->forward(x))));
  }

 private:
  MapBlockPtr conv1_, shortcut_;
  std::shared_ptr<Layer> conv2_;
  std::shared_ptr<Gdn> gdn_;
};

class BottleneckUnit final : public MapBlock {
 public:
  BottleneckUnit(int64_t channels, Stream& init) {
    const auto inner = std::max<int64_t>(1, channels / 2);
    conv1_ = register_module("conv1", codec_conv(channels, inner, 1, 1, init));
    conv2_ = register_module("conv2", codec_conv(inner, inner, 3, 1, init));
    conv3_ = register_module("conv3", codec_conv(inner, channels, 1, 1, init));
  }
  Tensor forward(const Tensor& x) override {
    return leaky(x + conv3_->forward(leaky(conv2_->forward(leaky(conv1_->forward(x))))));
  }

 private:
  std::shared_ptr<Layer> conv1_, conv2_, conv3_;
};

MapBlockPtr bottleneck_units(int64_t channels, Stream& init) {
  constexpr int kUnits = 3;
  std::vector<MapBlockPtr> units;
  for (int i = 0; i < kUnits; ++i) units.push_back(std::make_shared<BottleneckUnit>(channels, init));
  return in_sequence(std::move(units));
}

class GatedBlock final : public MapBlock {
 public:
  GatedBlock(int64_t channels, Stream& init) {
    trunk_ = register_module("trunk", bottleneck_units(channels, init));
    gate_ = register_module("gate", bottleneck_units(channels, init));
    mask_ = register_module("mask", codec_conv(channels, channels, 1, 1, init));
  }
  Tensor forward(const Tensor& x) override { return x + trunk_->forward(x) * mask_->forward(gate_->forward(x)).sigmoid(); }

 private:
  MapBlockPtr trunk_, gate_;
  std::shared_ptr<Layer> mask_;
};

class BlockSequence final : public MapBlock {
 public:
  explicit BlockSequence(std::vector<MapBlockPtr> blocks) : blocks_(std::move(blocks)) {
    for (size_t i = 0; i < blocks_.size(); ++i) register_module(std::to_string(i), blocks_[i]);
  }
  Tensor forward(const Tensor& x) override {
    auto h = x;
    for (const auto& block : blocks_) h = block->forward(h);
    return h;
  }

 private:
  std::vector<MapBlockPtr> blocks_;
};

}  // namespace

MapBlockPtr make_conv_block(int64_t from, int64_t to, int64_t kernel, Stream& init) {
  return std::make_shared<ConvBlock>(from, to, kernel, init);
}
MapBlockPtr make_residual_block(int64_t channels, Stream& init) { return std::make_shared<CodecResidual>(channels, init); }
MapBlockPtr make_halving_block(int64_t from, int64_t to, Stream& init) { return std::make_shared<HalvingBlock>(from, to, init); }
MapBlockPtr make_doubling_block(int64_t from, int64_t to, Stream& init) {
  return std::make_shared<DoublingBlock>(from, to, init);
}
MapBlockPtr make_shuffling_conv(int64_t from, int64_t to, Stream& init) {
  return std::make_shared<ShufflingConv>(from, to, init);
}
MapBlockPtr make_gated_block(int64_t channels, Stream& init) { return std::make_shared<GatedBlock>(channels, init); }
MapBlockPtr in_sequence(std::vector<MapBlockPtr> blocks) { return std::make_shared<BlockSequence>(std::move(blocks)); }

}  // namespace elbo
