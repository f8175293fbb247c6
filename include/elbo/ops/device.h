#pragma once
#include <c10/core/Device.h>

#include <string_view>

namespace elbo {

/// The device that `auto`, `cpu`, `cuda` or `cuda:N` means. `auto` is the first CUDA device where there is one, else the CPU, and
/// loads CUDA only where a driver is present. Throws: UsageError for other text, DeviceError with a remedy where the device is
/// absent.
at::Device resolve_device(std::string_view text);

}  // namespace elbo
