#include "memory.h"

#include <c10/core/Allocator.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/resource.h>

namespace elbo::detail {

double peak_memory_bytes() {
  constexpr double kKibibyte = 1024;
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_maxrss) * kKibibyte;
}

double peak_device_memory_bytes(c10::Device device) {
  auto* allocator = dynamic_cast<c10::DeviceAllocator*>(c10::GetAllocator(device.type()));
  if (!allocator) return 0;
  constexpr size_t kAll = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  return static_cast<double>(allocator->getDeviceStats(device.index() < 0 ? 0 : device.index()).allocated_bytes[kAll].peak);
}

}  // namespace elbo::detail
