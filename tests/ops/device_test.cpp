#include "elbo/ops/device.h"

#include <ATen/Context.h>
#include <gmock/gmock.h>

#include "elbo/base/error.h"
#include "elbo/ops/cuda.h"
#include "elbo/ops/op.h"
#include "support/gradients.h"

using namespace elbo;

namespace device {
namespace {

using testing::HasSubstr;

template <class E>
std::string message_of(std::string_view text) {
  try {
    resolve_device(text);
  } catch (const E& error) {
    return error.what();
  }
  return "no such error";
}

TEST(ResolveDevice, CpuIsTheCpu) { EXPECT_EQ(resolve_device("cpu"), at::Device(at::kCPU)); }

TEST(ResolveDevice, RefusesOtherWords) {
  for (const auto* text : {"", "gpu", "CPU", "cuda:", "cuda:x", "cuda:1x", "cuda:-1", "cuda:0 ", "cudax", "cuda:99999999999"}) {
    EXPECT_EQ(message_of<UsageError>(text), "device '" + std::string(text) + "': expected auto, cpu, cuda or cuda:N");
  }
}

TEST(ResolveDevice, AutoAgreesWithWhatIsThere) {
  EXPECT_EQ(resolve_device("auto"), load_cuda() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU));
}

TEST(ResolveDevice, AbsentCudaSaysWhyAndWhatToDo) {
  if (load_cuda()) GTEST_SKIP() << "there is a CUDA device";
  const auto message = message_of<DeviceError>("cuda");
  EXPECT_THAT(message, HasSubstr("device 'cuda': "));
  EXPECT_THAT(message, HasSubstr("install"));
  EXPECT_THAT(message, HasSubstr("or use --device cpu"));
}

TEST(ResolveDevice, AnIndexTooFarNamesTheLast) {
  if (!load_cuda()) GTEST_SKIP() << "no CUDA device";
  EXPECT_THAT(message_of<DeviceError>("cuda:99"), HasSubstr("use cuda:0 to cuda:"));
}

TEST(CudaStatus, ExplainsItself) {
  const auto& status = cuda_status();
  EXPECT_EQ(status.device_count > 0, load_cuda());
  EXPECT_EQ(status.device_count > 0, status.reason.empty()) << status.reason;
  EXPECT_EQ(status.plugin_loaded, status.plugin_reason.empty()) << status.plugin_reason;
  if (!status.libtorch_has_cuda) {
    EXPECT_EQ(status.device_count, 0);
  }
}

TEST(CudaStatusDeathTest, ALibraryThatIsNoPluginIsRefusedByName) {
  // In a process of its own: a status is found once.
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto report = [] {
    setenv("ELBO_CUDA_PLUGIN", "/proc/self/exe", 1);
    const auto& status = cuda_status();
    std::fputs(status.libtorch_has_cuda ? status.plugin_reason.c_str() : "no CUDA: /proc/self/exe", stderr);
    std::_Exit(status.plugin_loaded ? 1 : 0);
  };
  EXPECT_EXIT(report(), testing::ExitedWithCode(0), "/proc/self/exe");
}

}  // namespace
}  // namespace device
