#include "elbo/training/import.h"

#include <torch/nn/modules/linear.h>

#include <limits>

#include "elbo/base/error.h"
#include "elbo/io/safetensors.h"
#include "elbo/math/tensors.h"
#include "elbo/training/checkpoint.h"
#include "training/fakes.h"

namespace import_test {
using namespace elbo;
using namespace elbo::fakes;
namespace {

/// layers.0: 2 -> 3, output: 3 -> 3.
struct Net : torch::nn::Module {
  torch::nn::Linear hidden = nullptr, output = nullptr;
  Net() {
    hidden = register_module("hidden", torch::nn::Linear(2, 3));
    output = register_module("output", torch::nn::Linear(3, 3));
  }
};

using Tensors = std::vector<NamedTensor>;

Tensor ramp(std::vector<int64_t> shape, double start) {
  return (torch::arange(c10::multiply_integers(shape), torch::kDouble) / 8 + start).reshape(shape).to(torch::kFloat);
}

Tensors whole() {
  return {{"hidden.weight", ramp({3, 2}, 1)},
          {"hidden.bias", ramp({3}, 2)},
          {"output.weight", ramp({3, 3}, 3)},
          {"output.bias", ramp({3}, 4)}};
}

std::filesystem::path written(const TemporaryFolder& folder, const Tensors& tensors) {
  std::vector<NamedView> views;
  for (const auto& [name, tensor] : tensors) views.push_back({name, view_of(tensor)});
  const auto path = folder.path / "w.safetensors";
  write_safetensors(path, views);
  return path;
}

/// The message without the path that it starts with.
std::string refusal(const Tensors& tensors, const ImportOptions& options = {}) {
  TemporaryFolder folder;
  Net net;
  const auto before = net.hidden->weight.clone();
  try {
    import_weights(written(folder, tensors), net, options);
  } catch (const CheckpointError& error) {
    EXPECT_TRUE(net.hidden->weight.equal(before)) << "changed although refused";
    const std::string message = error.what();
    return message.substr(message.find('\n') + 1);
  }
  return "";
}

}  // namespace

TEST(ImportWeights, TakesEveryTensorByNameAndConvertsFloatingPoint) {
  TemporaryFolder folder;
  Net net;
  auto tensors = whole();
  tensors[0].tensor = tensors[0].tensor.to(torch::kDouble);
  tensors[1].tensor = tensors[1].tensor.to(torch::kBFloat16);
  const auto report = import_weights(written(folder, tensors), net);
  EXPECT_EQ(report.loaded.size(), 4U);
  EXPECT_TRUE(report.missing.empty() && report.unexpected.empty());
  EXPECT_TRUE(net.hidden->weight.equal(ramp({3, 2}, 1)));
  EXPECT_TRUE(net.hidden->bias.equal(ramp({3}, 2)));  // eighths up to 3 are exact in bfloat16
  EXPECT_TRUE(net.output->weight.equal(ramp({3, 3}, 3)));
  EXPECT_EQ(net.hidden->weight.scalar_type(), torch::kFloat);
}

TEST(ImportWeights, ListsAllThatDoesNotFitAndTheRenamesThatWouldHelp) {
  auto tensors = whole();
  tensors[0].name = "fc1.weight";
  tensors[1].name = "fc1.bias";
  tensors[2].tensor = ramp({3, 4}, 0);
  EXPECT_EQ(refusal(tensors),
            "  misshapen: output.weight is float32 [3, 4], expected float32 [3, 3]\n"
            "  missing: hidden.bias (float32 [3])\n"
            "  missing: hidden.weight (float32 [3, 2])\n"
            "  unexpected: fc1.weight (float32 [3, 2])\n"
            "  unexpected: fc1.bias (float32 [3])\n"
            "by shape it might be: --rename fc1=hidden");
}

TEST(ImportWeights, SuggestsNoRenameWhereTwoWouldFit) {
  auto tensors = whole();
  tensors[0].name = "fc1.weight";
  tensors[1].name = "fc1.bias";
  tensors.push_back({"fc2.weight", ramp({3, 2}, 1)});
  tensors.push_back({"fc2.bias", ramp({3}, 1)});
  EXPECT_EQ(refusal(tensors).find("--rename"), std::string::npos);
}

TEST(ImportWeights, RenamesWholePartsOfAPath) {
  TemporaryFolder folder;
  auto tensors = whole();
  for (auto& [name, tensor] : tensors) name = "model.fc" + name;  // model.fchidden.weight, …
  Net net;
  const ImportOptions options{.renames = {{"model.fchidden", "hidden"}, {"model.fcoutput", "output"}, {"model", "not"}}};
  import_weights(written(folder, tensors), net, options);
  EXPECT_TRUE(net.output->bias.equal(ramp({3}, 4)));
  EXPECT_NE(refusal(tensors, {.renames = {{"model.fc", ""}}}).find("unexpected: model.fchidden.weight ("), std::string::npos);
  auto prefixed = whole();
  for (auto& [name, tensor] : prefixed) name = "module." + name;
  import_weights(written(folder, prefixed), net, {.renames = {{"module", ""}}});
}

TEST(ImportWeights, TwoTensorsForOneNameAreRefused) {
  auto tensors = whole();
  tensors.push_back({"fc1.bias", ramp({3}, 1)});
  const auto message = refusal(tensors, {.renames = {{"fc1", "hidden"}}});
  EXPECT_NE(message.find("twice: "), std::string::npos) << message;
  EXPECT_NE(message.find("are both hidden.bias"), std::string::npos) << message;
}

TEST(ImportWeights, PartialLeavesTheRestAndSaysSo) {
  TemporaryFolder folder;
  Net net;
  const auto before = net.output->weight.clone();
  auto tensors = whole();
  tensors[2].name = "head.weight";
  const auto report = import_weights(written(folder, tensors), net, {.fit = ImportFit::partial});
  EXPECT_EQ(report.missing, std::vector<std::string>{"output.weight"});
  EXPECT_EQ(report.unexpected, std::vector<std::string>{"head.weight"});
  EXPECT_TRUE(net.output->weight.equal(before));
  EXPECT_TRUE(net.hidden->weight.equal(ramp({3, 2}, 1)));
}

TEST(ImportWeights, PartialStillRefusesShapesAndFilesOfAnotherModel) {
  auto tensors = whole();
  tensors[0].tensor = ramp({2, 3}, 0);
  EXPECT_EQ(refusal(tensors, {.fit = ImportFit::partial}),
            "  misshapen: hidden.weight is float32 [2, 3], expected float32 [3, 2]; its transpose would fit");
  EXPECT_EQ(refusal({{"other", ramp({2}, 0)}}, {.fit = ImportFit::partial}), "  no tensor of the file has a name of the model's");
}

TEST(ImportWeights, RefusesNaNAndIntegers) {
  auto tensors = whole();
  tensors[3].tensor[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(refusal(tensors), "  not finite: output.bias holds NaN or infinity");
  tensors[3].tensor = torch::ones({3}, torch::kLong);
  EXPECT_EQ(refusal(tensors), "  misshapen: output.bias is int64 [3], expected float32 [3]");
}

}  // namespace import_test
