/// The pause of a loop that waits for another thread.
#pragma once

namespace tapegrad {

/// Tells the processor that this thread only waits, which leaves more of a shared core to its sibling thread.
inline void relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

}  // namespace tapegrad
