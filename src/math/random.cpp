#include "elbo/math/random.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

namespace elbo {
namespace {

uint64_t mix(uint64_t x) {  // the finaliser of splitmix64
  x += 0x9e3779b97f4a7c15ULL;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

at::Generator make_generator(at::Device device) {
  if (device.is_cpu()) return at::detail::createCPUGenerator();
  return at::globalContext().getAcceleratorHooksInterface(device.type()).getNewGenerator(device.index());
}

}  // namespace

uint64_t hash_key(std::initializer_list<uint64_t> parts) {
  uint64_t key = 0x656c626fULL;
  for (const uint64_t part : parts) key = mix(key ^ mix(part));
  return key;
}

uint64_t hash_key(std::string_view text) {
  uint64_t key = 0xcbf29ce484222325ULL;  // FNV-1a, then mixed
  for (const char c : text) key = (key ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  return mix(key);
}

uint64_t fold_to_32_bits(uint64_t key) { return (key ^ (key >> 32)) & 0xffffffffULL; }

Stream::Stream(uint64_t seed, std::string name, at::Device device, int64_t rank, at::ScalarType dtype)
    : key_(hash_key({seed, hash_key(name), static_cast<uint64_t>(rank)})),
      device_(device),
      dtype_(dtype),
      generator_(make_generator(device)) {
  rekey(0);
}

void Stream::rekey(int64_t step) { generator_.set_current_seed(fold_to_32_bits(hash_key({key_, static_cast<uint64_t>(step)}))); }

Tensor Stream::normal(at::IntArrayRef leading, at::IntArrayRef event) {
  return torch::randn(joined(leading, event), generator_, torch::dtype(dtype_).device(device_));
}

Tensor Stream::uniform(at::IntArrayRef leading, at::IntArrayRef event) {
  return torch::rand(joined(leading, event), generator_, torch::dtype(dtype_).device(device_));
}

Tensor Stream::permutation(int64_t n) { return torch::randperm(n, generator_, torch::dtype(torch::kLong).device(device_)); }

Streams::Streams(uint64_t seed, at::Device device, int64_t rank)
    : data(seed, "data", device, rank), noise(seed, "noise", device, rank), model(seed, "model", device, rank) {}

void Streams::rekey(int64_t step) {
  data.rekey(step);
  noise.rekey(step);
  model.rekey(step);
}

DefaultGeneratorGuard::DefaultGeneratorGuard() : state_(at::globalContext().defaultGenerator(at::kCPU).get_state()) {}
DefaultGeneratorGuard::~DefaultGeneratorGuard() {
  auto generator = at::globalContext().defaultGenerator(at::kCPU);
  generator.set_state(state_);
}

}  // namespace elbo
