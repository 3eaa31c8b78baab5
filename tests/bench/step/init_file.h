#pragma once
#include <string>
#include <vector>

#include <tapegrad/autograd/parameter.h>

#include "tests/bench/program/batches.h"

namespace tapegrad::bench {

/// Loads a state dict by the names of the PyTorch peer's module from the safetensors file `path`, which may
/// also hold that module's buffers `pe` and `mask` (they are computed here), and `data.source`, integers
/// [steps, batch, length]: the batches to run on, which are returned. Throws DataError, naming the file, when
/// a parameter is missing, unknown or misshaped, and on a symbol outside [3, vocabulary).
std::vector<Batch> load_init(const std::string& path, ParameterStore& params, const Size& size);

}  // namespace tapegrad::bench
