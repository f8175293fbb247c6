#pragma once
#include <functional>
#include <memory>
#include <string>

#include "causal_layers.h"
#include "elbo/code_priors/code_prior.h"

namespace elbo::detail {

/// Gives each place features of the places before it. Shapes: codes [B, width, h, w] -> [B, width, ...] at the scan's places.
class PlaceNetwork : public torch::nn::Module {
 public:
  virtual Tensor features(Scan& scan) = 0;
};

struct PlacePriorOptions {
  std::string name = {};     // "pixel_cnn", for errors
  std::string summary = {};  // CodePrior::summary()
  int64_t width = 0;
  int64_t reach = 0;         // places from one that its first layer reads, to any side
  int64_t above_layers = 0;  // residual blocks over the codes of the level above
};

/// A prior whose network sees places. The G codes of a place enter as the sum of their embeddings. They leave one after the
/// other: the state of group g is the features of the earlier places plus embeddings of the place's groups before g, and each
/// group has a head (ReLU, 1 x 1, ReLU, 1 x 1). So the network runs once a place, whatever G is, and no channel has to be masked.
/// Parameters: codes.N [V, width] a group, earlier.N [V, width] of each group but the last, heads.N.{hidden,output}.*, network.*,
/// and with a level above above.*.
std::shared_ptr<AutoregressiveCodePrior> make_place_prior(
    const PlacePriorOptions& options, const CodePriorContext& context,
    const std::function<std::shared_ptr<PlaceNetwork>(const PlaceNetworkContext&)>& make_network);

}  // namespace elbo::detail
