#include "elbo/ops/device.h"

#include <charconv>
#include <filesystem>

#include "elbo/base/error.h"
#include "elbo/ops/cuda.h"

namespace elbo {
namespace {

/// Whether it's worth loading CUDA at all: the kernel driver's device files, natively or under WSL.
bool driver_is_present() {
  std::error_code failed;
  return std::filesystem::exists("/dev/nvidiactl", failed) || std::filesystem::exists("/dev/dxg", failed);
}

std::string quoted(std::string_view text) { return "device '" + std::string(text) + "'"; }

}  // namespace

at::Device resolve_device(std::string_view text) {
  if (text == "cpu") return at::kCPU;
  if (text == "auto") return driver_is_present() && load_cuda() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);

  int index = 0;
  if (text != "cuda") {
    constexpr std::string_view prefix = "cuda:";
    const auto* end = text.data() + text.size();
    const bool prefixed = text.starts_with(prefix);
    const auto [stop, error] = prefixed ? std::from_chars(text.data() + prefix.size(), end, index) : std::from_chars_result{};
    if (!prefixed || error != std::errc() || stop != end || index < 0) {
      throw UsageError(quoted(text) + ": expected auto, cpu, cuda or cuda:N");
    }
  }
  const auto& status = cuda_status();
  if (status.device_count == 0) throw DeviceError(quoted(text) + ": " + status.reason + "; or use --device cpu");
  if (index >= status.device_count) {
    throw DeviceError(quoted(text) + ": this machine has " + std::to_string(status.device_count) +
                      " CUDA device(s), numbered from 0; use cuda:0 to cuda:" + std::to_string(status.device_count - 1));
  }
  return {at::kCUDA, static_cast<c10::DeviceIndex>(index)};
}

}  // namespace elbo
