#pragma once
#include <tapegrad/nn/io/safetensors.h>
#include <tapegrad/nn/transformer.h>

#include <optional>
#include <string>
#include <vector>

namespace tapegrad::test {

/// The input of `bin/parity`: a Transformer as PyTorch's `nn.Transformer(…, batch_first=True)`, its
/// inputs, and the cotangent of its result.
struct ParityInput {
  nn::TransformerOptions options;
  bool causal = false;              ///< a target position attends to itself and earlier positions
  Tensor src, tgt, dout;            // [batch, source, d_model], [batch, target, d_model] twice
  nn::TransformerMasks masks;       ///< from the padding masks, 1 = blocked, and `causal`
  TensorFile file;                  ///< the whole file; the state dict is under `model.`
  std::vector<std::string> unused;  ///< names of tensors and keys of metadata that are neither

  DType dtype() const { return src.dtype(); }
};

/// Throws DataError with the file's name and all problems of the metadata, or else of the tensors. A state
/// dict that is all that is wrong is left to `load_state_dict`, with `convert` false.
ParityInput read_parity_input(const std::string& path);

}  // namespace tapegrad::test
