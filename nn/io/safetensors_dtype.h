/// The dtypes of the safetensors format, and those that a Tensor can have.
#pragma once
#include <cstdint>
#include <optional>
#include <string_view>

#include "../../autograd/tensor/dtype.h"

namespace tapegrad {

/// The header's key of the metadata, which no tensor may have as its name.
inline constexpr std::string_view metadata_key = "__metadata__";

/// One of the format's dtypes.
struct FileDType {
  std::string_view name;
  std::uint64_t bits;
  std::optional<DType> dtype;  ///< empty when a Tensor cannot have it
};

/// All dtypes in the reference implementation's order, by which its writer puts later ones first.
inline constexpr FileDType file_dtypes[] = {{"BOOL", 8, DType::boolean},
                                            {"F4", 4, {}},
                                            {"F6_E2M3", 6, {}},
                                            {"F6_E3M2", 6, {}},
                                            {"U8", 8, DType::u8},
                                            {"I8", 8, {}},
                                            {"F8_E5M2", 8, {}},
                                            {"F8_E4M3", 8, {}},
                                            {"F8_E8M0", 8, {}},
                                            {"F8_E4M3FNUZ", 8, {}},
                                            {"F8_E5M2FNUZ", 8, {}},
                                            {"I16", 16, {}},
                                            {"U16", 16, {}},
                                            {"F16", 16, DType::f16},
                                            {"BF16", 16, DType::bf16},
                                            {"I32", 32, DType::i32},
                                            {"U32", 32, {}},
                                            {"F32", 32, DType::f32},
                                            {"C64", 64, {}},
                                            {"F64", 64, DType::f64},
                                            {"I64", 64, DType::i64},
                                            {"U64", 64, {}}};

inline constexpr std::string_view supported_dtypes = "F64, F32, F16, BF16, I64, I32, U8 and BOOL";

/// The Tensor dtype of the format's `name`, or nothing.
constexpr std::optional<DType> supported_dtype(std::string_view name) {
  for (const FileDType& known : file_dtypes)
    if (known.name == name) return known.dtype;
  return std::nullopt;
}

constexpr const FileDType& dtype_in_file(DType dtype) {
  const FileDType* found = file_dtypes;
  while (found->dtype != dtype) ++found;
  return *found;
}

}  // namespace tapegrad
