#pragma once
#include <torch/nn/module.h>

#include <memory>

#include "elbo/math/random.h"
#include "elbo/nn/layer.h"
#include "scan.h"

namespace elbo::detail {

struct ScanConvOptions {
  int64_t in = 0;
  int64_t out = 0;
  int64_t rows = 1;
  int64_t columns = 1;
  Bias bias = Bias::yes;
  Parametrization parametrization = Parametrization::none;  // or weight_norm
};

/// A convolution of what Scan::window gives, or of 1 x 1. Parameters: weight and bias; of weight_norm weight_g, weight_v and
/// bias.
class ScanConv final : public torch::nn::Module {
 public:
  ScanConv(const ScanConvOptions& options, Stream& init);
  /// Its weight is made once a scan.
  Tensor forward(Scan& scan, const Tensor& x);
  Tensor forward(Arithmetic& arithmetic, const Tensor& x) { return arithmetic.conv(x, made_weight(arithmetic), bias_); }

 private:
  Tensor made_weight(Arithmetic& arithmetic) const;

  Tensor weight_, bias_, length_;
};

/// Two convolutions whose windows together are everything up to a place, in rows, within the kernel: `rows` has those above,
/// `row` those of its own row. What lies up and to the right of a place by more columns than rows is never reached, however many
/// follow each other: the blind spot.
class CausalConv final : public torch::nn::Module {
 public:
  /// entry: of the embedded codes, without the place itself (mask A). inner: of a layer's input, with it (mask B).
  enum class Kind { entry, inner };
  struct Options {
    int64_t in = 0;
    int64_t out = 0;
    int64_t kernel = 3;
    Kind kind = Kind::inner;
    Parametrization parametrization = Parametrization::none;
  };
  CausalConv(const Options& options, Stream& init);
  /// x is not read by an entry.
  Tensor forward(Scan& scan, const Tensor& x = {});

 private:
  Kind kind_;
  Window above_, row_window_;
  std::shared_ptr<ScanConv> rows_, row_;
};

/// What networks over the places share.
struct PlaceNetworkContext {
  int64_t width = 0;           // channels of the embedded codes and of the features
  int64_t num_classes = 0;     // 0: no class
  int64_t above_channels = 0;  // 0: no level above
  Stream& init;
};

/// What a class and the level above add to a layer. Parameters: classes [num_classes + 1, channels], the last row for a class
/// that isn't told; above.weight.
class ConditionTerm final : public torch::nn::Module {
 public:
  ConditionTerm(int64_t channels, const PlaceNetworkContext& context);
  /// x and the term; x itself where nothing is known. Shapes: x [B, channels, ...] at the places of the scan.
  Tensor added(Scan& scan, const Tensor& x);

 private:
  Tensor whole(Scan& scan);

  Tensor classes_;
  std::shared_ptr<ScanConv> above_;
};

/// Elements are 0 with this probability and the others larger for it, in training alone.
Tensor dropped(Scan& scan, const Tensor& x, double dropout);

/// Standard normal numbers times `scale`.
Tensor normal_table(int64_t rows, int64_t columns, double scale, Stream& init);

}  // namespace elbo::detail
