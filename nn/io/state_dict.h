/// Saves and loads a model's parameters by name, as PyTorch's state dicts.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "../../autograd/parameter.h"
#include "safetensors.h"

namespace tapegrad {

struct StateDictOptions {
  std::string prefix = "";  ///< put before every name, e.g. `model.`
  bool copied = false;      ///< tensors own copies of the values; false: read-only views of the parameters
};

/// Every parameter and buffer by path, and each tie as metadata {other name: path} (as
/// `safetensors.torch.save_model` writes it): names and shapes are PyTorch's.
TensorFile state_dict(const ParameterStore& params, const StateDictOptions& options = {});

struct LoadOptions {
  std::string prefix = "";           ///< only tensors whose names begin so are read
  bool allow_missing = false;        ///< parameters that the file lacks keep their values
  bool allow_extra = false;          ///< tensors that the model lacks are ignored
  bool convert = true;               ///< false refuses every dtype but the parameters'
  std::string where = "state dict";  ///< begins error messages, e.g. the file's name
};

/// The result of a load.
struct LoadReport {
  std::vector<std::string> missing;     ///< paths that kept their values (only with allow_missing)
  std::vector<std::string> unexpected;  ///< ignored names (only with allow_extra)
  Index non_finite = 0;  ///< NaN and infinite values, counted after conversion to the parameters' dtype
  std::vector<std::string> non_finite_in;  ///< paths that hold any

  /// `3 NaN or infinite values in 2 tensors: 'a', 'b'`, or empty when all values are finite.
  std::string warning() const;
};

/// Sets every parameter and buffer from `file`, which may have any floating dtype; values are converted. A
/// tied parameter is found under any of its names, in the file or in its metadata, in either direction of the
/// tie; a file that has several of its names must have identical bits under each. An untied parameter whose
/// name the file's metadata ties to a tensor gets that tensor's values. Throws one DataError that lists, by
/// name, every missing, unexpected (with the nearest missing name), misshaped, mistyped and unequally tied
/// tensor (of each kind the first 1000 and the number of the rest); then nothing was changed. Torch's
/// counterpart: `load_state_dict(strict=True)`.
LoadReport load_state_dict(ParameterStore& params, const TensorFile& file, const LoadOptions& options = {});

/// Throws as `load_state_dict` would, and changes nothing.
void check_state_dict(const ParameterStore& params, const TensorFile& file, const LoadOptions& options = {});

/// Saves `state_dict(params)` with `save_safetensors`.
void save_weights(const std::string& path, const ParameterStore& params);
/// Loads a file into `params` with `load_state_dict`; `options.where` is the file's name.
LoadReport load_weights(const std::string& path, ParameterStore& params, const LoadOptions& options = {});

}  // namespace tapegrad
