#pragma once
#include <c10/core/Device.h>

namespace elbo::detail {

/// The most memory that this process has held so far, and the most that LibTorch has handed out on a device.
double peak_memory_bytes();
double peak_device_memory_bytes(c10::Device device);

}  // namespace elbo::detail
