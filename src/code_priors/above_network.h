#pragma once
#include <memory>
#include <vector>

#include "causal_layers.h"
#include "elbo/io/code_file.h"

namespace elbo::detail {

/// Features of the codes of the level above: embeddings summed over the groups, a 3 x 3 convolution and residual blocks (ReLU,
/// 3 x 3, ReLU, 1 x 1) that see all of the map. Parameters: codes.N [V', width], entry.*, blocks.N.{conv1,conv2}.*.
class AboveNetwork final : public torch::nn::Module {
 public:
  AboveNetwork(const CodeGrid& grid, int64_t width, int64_t layers, Stream& init);
  /// Shapes: codes int64 [B, h', w', G'] -> [B, width, h', w'].
  Tensor forward(const Tensor& codes, Arithmetic& arithmetic);

 private:
  struct Block;

  CodeGrid grid_;
  std::vector<Tensor> tables_;
  std::shared_ptr<ScanConv> entry_;
  std::vector<std::shared_ptr<Block>> blocks_;
};

/// One table of embeddings a group, registered as NAME.N. Scaled so that the sum over the groups is standard normal.
std::vector<Tensor> register_tables(torch::nn::Module& parent, const std::string& name, const CodeGrid& grid, int64_t groups,
                                    int64_t width, Stream& init);
/// The sum over the groups. Shapes: codes int64 [..., G] -> [..., width].
Tensor embedded(const std::vector<Tensor>& tables, const Tensor& codes);

}  // namespace elbo::detail
