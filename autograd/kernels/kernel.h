/// A kernel is a function over raw pointers that is compiled once per instruction set; a call runs the
/// variant of the set in use. A header declares it, and the source of that header's name defines it:
///
///     TAPEGRAD_KERNEL(void, scale, (const T* x, T factor, T* y, Index n), (x, factor, y, n))     // scale.h
///
///     template <class T>                                         // scale.cpp, in kernels::TAPEGRAD_ISA
///     void scale(const T* x, T factor, T* y, Index n) { … }
///     TAPEGRAD_INSTANTIATE(scale)
#pragma once

#include <atomic>
#include <cstdint>

// The sets that are compiled besides `generic`; cmake/kernels.cmake uses an equal condition.
#if !defined(TAPEGRAD_X86) && defined(__x86_64__)
#define TAPEGRAD_X86 1
#endif

namespace tapegrad::kernels {

using Index = std::int64_t;

enum class Isa { generic, avx2, avx512 };

/// Returns true when this build and this processor have the instruction set.
bool available(Isa isa);

/// The instruction set in use: the best one there is, or a lower one named by the environment variable
/// TAPEGRAD_ISA (generic, avx2, avx512) when the first kernel runs.
Isa active_isa();

/// Makes every thread use the instruction set from its next kernel on. The set must be available.
void use_isa(Isa isa);

/// "generic", "avx2" or "avx512".
const char* isa_name(Isa isa);

namespace detail {
extern std::atomic<int> isa_in_use;  // below 0 until the first kernel runs
[[gnu::cold]] int choose_isa();

inline int isa() {
  const int chosen = isa_in_use.load(std::memory_order_relaxed);
  return chosen >= 0 ? chosen : choose_isa();
}
}  // namespace detail

// Declares `name` for the scalar T in the namespace of an instruction set.
#define TAPEGRAD_VARIANT(isa, Result, name, parameters) \
  namespace isa {                                       \
  template <class T>                                    \
  Result name parameters;                               \
  }
#if TAPEGRAD_X86
#define TAPEGRAD_DECLARE_VARIANTS(...)   \
  TAPEGRAD_VARIANT(generic, __VA_ARGS__) \
  TAPEGRAD_VARIANT(avx2, __VA_ARGS__) TAPEGRAD_VARIANT(avx512, __VA_ARGS__)
#define TAPEGRAD_VARIANTS(name) generic::name<T>, avx2::name<T>, avx512::name<T>
#else
#define TAPEGRAD_DECLARE_VARIANTS(...) TAPEGRAD_VARIANT(generic, __VA_ARGS__)
#define TAPEGRAD_VARIANTS(name) generic::name<T>
#endif

/// Declares the variants of a kernel for the scalar T, and defines the function that calls the one in use.
#define TAPEGRAD_KERNEL(Result, name, parameters, arguments)                             \
  TAPEGRAD_DECLARE_VARIANTS(Result, name, parameters)                                    \
  template <class T>                                                                     \
  Result name parameters {                                                               \
    static constexpr decltype(&generic::name<T>) variants[] = {TAPEGRAD_VARIANTS(name)}; \
    return variants[detail::isa()] arguments;                                            \
  }

/// Emits the variant of this instruction set for float and double.
#define TAPEGRAD_INSTANTIATE(name)            \
  template decltype(name<float>) name<float>; \
  template decltype(name<double>) name<double>;

}  // namespace tapegrad::kernels
