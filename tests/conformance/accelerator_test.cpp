#include "conformance/accelerator.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/EmptyTensor.h>
#include <ATen/detail/HPUHooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/_reshape_alias_native.h>
#include <ATen/ops/as_strided_native.h>
#include <ATen/ops/resize_native.h>
#include <ATen/ops/set_native.h>
#include <ATen/ops/unfold_native.h>
#include <ATen/ops/view_native.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <gtest/gtest.h>
#include <torch/library.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <mutex>
#include <set>

#include "elbo/math/random.h"
#include "elbo/math/upload.h"
#include "elbo/ops/cuda.h"
#include "support/tensors.h"

namespace elbo::conformance {
namespace host_memory {
namespace {

// A device type that Module::to can move parameters to and that nothing else in LibTorch computes on.
constexpr auto kType = c10::DeviceType::HPU;
constexpr auto kKey = c10::DispatchKey::HPU;
const at::Device kHostMemory(kType, 0);

std::mutex books;
std::vector<std::string> reads;
thread_local bool copying = false;  // inside the fallback, whose own copies are no reads

void note_read(const std::string& operation) {
  const std::lock_guard lock(books);
  reads.push_back(operation);
}

std::map<std::string, c10::OperatorName> used;

void note_used(const c10::OperatorHandle& op) {
  const std::lock_guard lock(books);
  used.emplace(c10::toString(op.operator_name()), op.operator_name());
}

struct HostMemory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    constexpr size_t kAlignment = 64;
    void* memory = std::aligned_alloc(kAlignment, (bytes / kAlignment + 1) * kAlignment);
    return {memory, memory, std::free, kHostMemory};
  }
  c10::DeleterFnPtr raw_deleter() const override { return std::free; }
  void copy_data(void* to, const void* from, size_t bytes) const override { default_copy_data(to, from, bytes); }
};

/// One device of one stream.
struct Guard final : c10::impl::NoOpDeviceGuardImpl<kType> {
  c10::Device exchangeDevice(c10::Device) const override { return kHostMemory; }
  c10::Device getDevice() const override { return kHostMemory; }
  c10::Stream getStream(c10::Device) const noexcept override { return c10::Stream(c10::Stream::DEFAULT, kHostMemory); }
  c10::Stream exchangeStream(c10::Stream stream) const noexcept override { return stream; }
};

struct Hooks final : at::HPUHooksInterface {
  void init() const override {}
  const at::Generator& getDefaultGenerator(c10::DeviceIndex) const override {
    static const at::Generator generator = at::detail::createCPUGenerator();
    return generator;
  }
  bool hasHPU() const override { return true; }
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  at::Generator getNewGenerator(c10::DeviceIndex) const override { return at::detail::createCPUGenerator(); }
};
HostMemory allocator;

at::Tensor empty(c10::IntArrayRef size, std::optional<c10::ScalarType> type, std::optional<c10::Layout>,
                 std::optional<c10::Device>, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(size, &allocator, c10::DispatchKeySet(kKey), c10::dtype_or_default(type), format);
}
at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<c10::ScalarType> type,
                         std::optional<c10::Layout>, std::optional<c10::Device>, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &allocator, c10::DispatchKeySet(kKey), c10::dtype_or_default(type));
}

/// The same memory as a tensor of the CPU.
at::Tensor on_host(const at::Tensor& tensor) {
  return at::from_blob(tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(at::kCPU));
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool non_blocking) {
  if (from.device() != to.device() && !non_blocking && !copying)
    note_read(to.is_cpu() ? "copy to the host" : "copy from the host");
  on_host(to).copy_(on_host(from));
  return to;
}
at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}
at::Scalar local_scalar(const at::Tensor& tensor) {
  note_read("item");
  return on_host(tensor).item();
}

at::Tensor to_device(const at::Tensor& host) { return host.defined() ? upload(host, kHostMemory) : host; }

void check_device(const at::Tensor& tensor, const std::string& operation) {
  if (!tensor.defined() || tensor.dim() == 0 || tensor.device() == kHostMemory) return;
  TORCH_CHECK(false, operation, ": Expected all tensors to be on the same device, but got one of shape ", tensor.sizes(), " on ",
              tensor.device());
}

at::Tensor convolution(const at::Tensor& input, const at::Tensor& weight, const std::optional<at::Tensor>& bias,
                       c10::IntArrayRef stride, c10::IntArrayRef padding, c10::IntArrayRef dilation, bool transposed,
                       c10::IntArrayRef output_padding, int64_t groups) {
  for (const auto& tensor : {input, weight, bias.value_or(at::Tensor())}) check_device(tensor, "convolution");
  const auto host_bias = bias && bias->defined() ? std::optional(on_host(*bias)) : std::nullopt;
  return to_device(
      at::convolution(on_host(input), on_host(weight), host_bias, stride, padding, dilation, transposed, output_padding, groups));
}

std::tuple<at::Tensor, at::Tensor, at::Tensor> convolution_backward(const at::Tensor& grad, const at::Tensor& input,
                                                                    const at::Tensor& weight, c10::IntArrayRef stride,
                                                                    c10::IntArrayRef padding, c10::IntArrayRef dilation,
                                                                    bool transposed, c10::IntArrayRef output_padding,
                                                                    int64_t groups, std::array<bool, 3> mask) {
  const int64_t channels = grad.size(1);
  const auto [of_input, of_weight, of_bias] =
      at::convolution_backward(on_host(grad), on_host(input), on_host(weight), c10::IntArrayRef(channels), stride, padding,
                               dilation, transposed, output_padding, groups, mask);
  return {to_device(of_input), to_device(of_weight), to_device(of_bias)};
}

bool is_any(const std::string& name, const std::set<std::string>& names) { return names.contains(name); }

/// What CUDA code checks before it starts.
void check_arguments(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  const auto& name = op.schema().name();
  static const std::set<std::string> takes_host_indices = {"aten::index.Tensor", "aten::index", "aten::index_put_",
                                                           "aten::_index_put_impl_"};
  const bool first_only = is_any(name, takes_host_indices);
  const auto count = op.schema().arguments().size();
  const auto check = [&](const at::Tensor& tensor) { check_device(tensor, name); };
  for (size_t i = 0; i < count; ++i) {
    const auto& value = stack[stack.size() - count + i];
    if (value.isTensor()) check(value.toTensor());
    if (first_only) continue;
    if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorList()) check(tensor);
    } else if (value.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) {
        if (tensor) check(*tensor);
      }
    }
  }
}

/// Of LibTorch 2.11's documentation of use_deterministic_algorithms: those that throw, and those in the parts this library uses.
const std::set<std::string> kNotRepeatable = {"aten::_adaptive_avg_pool2d_backward",
                                              "aten::adaptive_max_pool2d_backward",
                                              "aten::avg_pool3d_backward",
                                              "aten::bincount",
                                              "aten::cumsum_",
                                              "aten::grid_sampler_2d_backward",
                                              "aten::histc",
                                              "aten::kthvalue",
                                              "aten::max_unpool2d",
                                              "aten::nll_loss2d_forward",
                                              "aten::put_",
                                              "aten::reflection_pad1d_backward",
                                              "aten::reflection_pad2d_backward",
                                              "aten::replication_pad2d_backward",
                                              "aten::upsample_bicubic2d_backward",
                                              "aten::upsample_bilinear2d_backward",
                                              "aten::upsample_linear1d_backward",
                                              "aten::upsample_nearest1d_backward",
                                              "aten::upsample_trilinear3d_backward",
                                              "aten::_embedding_bag_backward",
                                              "aten::_ctc_loss_backward"};

/// Their results' shapes depend on values, so that the host waits.
const std::set<std::string> kReads = {
    "aten::nonzero",  "aten::masked_select", "aten::_unique2",           "aten::unique_dim",
    "aten::bincount", "aten::equal",         "aten::unique_consecutive", "aten::_local_scalar_dense"};

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto& name = op.schema().name();
  check_arguments(op, *stack);
  note_used(op);
  if (at::globalContext().deterministicAlgorithms()) {
    const bool sums_floats =
        name == "aten::cumsum" && torch::jit::peek(*stack, 0, op.schema().arguments().size()).toTensor().is_floating_point();
    TORCH_CHECK(!is_any(name, kNotRepeatable) && !sums_floats, name, " does not have a deterministic implementation");
  }
  if (is_any(name, kReads)) note_read(name);
  struct Inside {
    Inside() { copying = true; }
    ~Inside() { copying = was; }
    bool was = copying;
  } inside;
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

bool is_there = false;

bool there_is_a_driver() {
  std::error_code failed;
  return std::filesystem::exists("/dev/nvidiactl", failed) || std::filesystem::exists("/dev/dxg", failed);
}

void make_device_of_host_memory() {
  c10::SetAllocator(kType, &allocator);
  static Guard guard;
  static c10::impl::DeviceGuardImplRegistrar registrar(kType, &guard);
  at::HPUHooksRegistry()->Register(
      "HPUHooks", [](at::HPUHooksArgs) -> std::unique_ptr<at::HPUHooksInterface> { return std::make_unique<Hooks>(); });
  static torch::Library aten(torch::Library::IMPL, "aten", kKey, __FILE__, __LINE__);
  aten.impl("empty.memory_format", TORCH_FN(empty));
  aten.impl("empty_strided", TORCH_FN(empty_strided));
  aten.impl("as_strided", TORCH_FN(at::native::as_strided_tensorimpl));
  aten.impl("view", TORCH_FN(static_cast<at::Tensor (*)(const at::Tensor&, c10::IntArrayRef)>(at::native::view)));
  aten.impl("_reshape_alias", TORCH_FN(at::native::_reshape_alias));
  aten.impl("unfold", TORCH_FN(at::native::unfold));
  aten.impl("resize_",
            TORCH_FN(static_cast<const at::Tensor& (*)(const at::Tensor&, c10::IntArrayRef, std::optional<c10::MemoryFormat>)>(
                at::native::resize_)));
  aten.impl("set_.source_Storage_storage_offset", TORCH_FN(at::native::set_storage_cpu_));
  aten.impl("convolution_overrideable", TORCH_FN(convolution));
  aten.impl("convolution_backward_overrideable", TORCH_FN(convolution_backward));
  aten.impl("_copy_from", TORCH_FN(copy_from));
  aten.impl("_copy_from_and_resize", TORCH_FN(copy_from_and_resize));
  aten.impl("_local_scalar_dense", TORCH_FN(local_scalar));
  static torch::Library rest(torch::Library::IMPL, "_", kKey, __FILE__, __LINE__);
  rest.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

class Accelerators final : public ::testing::Environment {
 public:
  void SetUp() override {  // before the first backward: the autograd engine counts the devices once
    if (there_is_a_driver() && load_cuda()) return;
    make_device_of_host_memory();
    is_there = true;
  }
  void TearDown() override {  // loaded earlier, a CUDA without a driver would be asked for streams
    if (!is_there || !cuda_status().libtorch_has_cuda) return;
    for (const auto& [text, name] : used) {
      if (text.find("_for_cpu") != std::string::npos) continue;  // the CPU's choice of an operation that has others for CUDA
      const auto op = c10::Dispatcher::singleton().findSchema(name);
      EXPECT_TRUE(op && op->hasKernelForDispatchKey(c10::DispatchKey::CUDA)) << text << ": LibTorch has no CUDA code for it";
    }
  }
};
const auto* const environment = ::testing::AddGlobalTestEnvironment(new Accelerators);

// ---- the device of host memory itself

class DeviceOfHostMemory : public ::testing::Test {
 protected:
  void SetUp() override {
    if (accelerator_is_real()) GTEST_SKIP() << "there is a CUDA device";
  }
};

TEST_F(DeviceOfHostMemory, ComputesAndDifferentiatesAsTheCpuDoes) {
  const auto run = [](at::Device device) {
    auto w = wavy({4, 3}).to(device).requires_grad_();
    const auto x = wavy({5, 4}, 1).to(device);
    const auto loss = (x.matmul(w).tanh().narrow(1, 0, 2) * 2).square().sum() + w.t().index({0}).sum();
    loss.backward();
    return std::vector{loss.detach(), w.grad()};
  };
  const auto there = run(accelerator()), here = run(at::kCPU);
  ASSERT_EQ(there[1].device(), accelerator());
  expect_close(there[0], here[0], 1e-15);
  expect_close(there[1], here[1], 1e-15);
}

TEST_F(DeviceOfHostMemory, RefusesTensorsOfTwoDevicesAsCudaDoes) {
  const auto there = torch::ones({3}, accelerator()), here = torch::ones({3});
  EXPECT_THROW(there + here, c10::Error);
  EXPECT_THROW(here + there, c10::Error);
  EXPECT_THROW(torch::cat({there, here}), c10::Error);
  EXPECT_THROW(there.index_select(0, torch::zeros({1}, torch::kLong)), c10::Error);
  expect_close(there + torch::full({}, 2.0), 3.0);  // a number of the host's is as good as a constant
  expect_close(there.index({torch::tensor({0, 2})}), torch::ones({2}));
}

TEST_F(DeviceOfHostMemory, CountsWhatMakesTheHostWait) {
  const auto there = torch::ones({3}, accelerator());
  take_reads();
  const auto sum = (there * 2 + 1).sum();
  EXPECT_TRUE(take_reads().empty());
  EXPECT_EQ(sum.item<float>(), 9);
  EXPECT_EQ(there.to(at::kCPU).numel(), 3);
  EXPECT_EQ(there.nonzero().size(0), 3);
  EXPECT_EQ(torch::ones({2}).to(accelerator()).numel(), 2);
  EXPECT_EQ(upload(torch::ones({2}), accelerator()).numel(), 2);
  EXPECT_EQ(take_reads(), (std::vector<std::string>{"item", "copy to the host", "aten::nonzero", "copy from the host"}));
}

TEST_F(DeviceOfHostMemory, ViewsShareAndStreamsDrawTheCpusNumbers) {
  auto there = torch::zeros({2, 6}, accelerator());
  there.view({3, 4}).select(0, 1).narrow(0, 1, 2).fill_(1);
  expect_close(there, values({0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0}, {2, 6}));
  Stream far(3, "noise", accelerator()), near(3, "noise", at::kCPU);
  expect_equal(far.normal({40}, {}).to(at::kCPU), near.normal({40}, {}));
  expect_equal(far.permutation(9).to(at::kCPU), near.permutation(9));
}

}  // namespace
}  // namespace host_memory

at::Device accelerator() { return host_memory::is_there ? host_memory::kHostMemory : at::Device(at::kCUDA, 0); }

std::vector<std::string> take_reads() {
  const std::lock_guard lock(host_memory::books);
  return std::exchange(host_memory::reads, {});
}

}  // namespace elbo::conformance
