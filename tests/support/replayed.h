// A recording run again under another value of one of its values.
#pragma once
#include <tapegrad/autograd/inspect/replay/replay.h>

namespace tapegrad::test {

inline Replay replay_from(const Var& x, const Tensor& value) {
  Replay replay(x.tape());
  replay.set(x, value);
  replay.run();
  return replay;
}

}  // namespace tapegrad::test
