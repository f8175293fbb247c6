#pragma once
#include <cstdint>
#include <cstring>

// Eight floats at a time by the compiler's vector types, so that one source serves SSE2, AVX2 and NEON. Vectors are passed by
// reference: by value their calling convention would depend on the instruction set.
namespace elbo::detail {

using Lanes = float __attribute__((vector_size(32)));
using LaneBits = int32_t __attribute__((vector_size(32)));
inline constexpr int64_t kLanes = 8;

[[gnu::always_inline]] inline void load(const float* from, Lanes& to) { std::memcpy(&to, from, sizeof(Lanes)); }
[[gnu::always_inline]] inline void store(const Lanes& from, float* to) { std::memcpy(to, &from, sizeof(Lanes)); }

/// exp(-|x|), zero below 2^-125; relative error under 2e-7.
[[gnu::always_inline]] inline void exp_of_minus_abs(const Lanes& x, Lanes& result) {
  const Lanes magnitude = (Lanes)((LaneBits)x & 0x7fffffff);
  const auto flushed = magnitude > 86.6f;
  const Lanes y = flushed ? Lanes{} : -magnitude;
  // n = round(y / ln 2): adding 1.5 2^23 leaves the integer in the low bits. ln 2 in two parts keeps y - n ln 2 exact enough.
  const float magic = 12582912.f;
  const Lanes shifted = y * 1.44269504088896341f + magic;
  const Lanes n = shifted - magic;
  const Lanes r = (y - n * 0.693359375f) + n * 2.12194440e-4f;
  Lanes p = r * 0.0013836845755577087f + 0.008374815806746483f;
  p = p * r + 0.04166822507977486f;
  p = p * r + 0.16666419804096222f;
  p = p * r + 0.49999991059303284f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  const LaneBits exponent = ((LaneBits)shifted - 0x4b400000 + 127) << 23;
  result = flushed ? Lanes{} : p * (Lanes)exponent;
}

/// log(1 + u) for u in [0, 1] as 2 artanh(u / (2 + u)); relative error under 3e-7, also for tiny u.
[[gnu::always_inline]] inline void log1p_of_unit(const Lanes& u, Lanes& result) {
  const Lanes s = u / (u + 2.f);
  const Lanes t = s * s;
  Lanes p = t * 0.2817833423614502f + 0.27960601449012756f;
  p = p * t + 0.40024909377098083f;
  p = p * t + 0.6666631698608398f;
  p = p * t + 2.f;
  result = p * s;
}

// ---- the machine's instructions ----

#if defined(__x86_64__)
inline bool has_avx2() {
  static const bool has = [] {
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  }();
  return has;
}
template <class Work>
[[gnu::target("avx2,fma")]] void with_avx2(const Work& work) {
  work();
}
#endif

/// Runs `work`, a lambda marked always_inline, compiled for AVX2 where the machine has it.
template <class Work>
void with_best_instructions(const Work& work) {
#if defined(__x86_64__)
  if (has_avx2()) return with_avx2(work);
#endif
  work();
}

}  // namespace elbo::detail
