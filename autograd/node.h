/// The tape's record of one operation or leaf, and its table entry for one value.
#pragma once
#include <cstdint>
#include <string>

#include "op.h"
#include "parameter.h"

namespace tapegrad {

/// One operation or leaf, in execution order. Every value on a tape has a flat number: the values of node i
/// are numbered from `first_output` on. A node is as large as a cache line.
struct alignas(64) Node {
  const Op* op = nullptr;                 // null for leaves and on tapes that do not record
  const std::uint32_t* inputs = nullptr;  // flat numbers
  TensorView* outputs = nullptr;          // visible results, then saved ones
  const Parameter* parameter = nullptr;
  const std::string* path = nullptr;  // of the module that recorded it
  std::uint64_t serial = 0;
  std::uint32_t parameter_version = 0;  // lower 32 bits
  bool needs_grad = false;
  bool checkpoint = false;  // its op records a function again, see backward/checkpoint.h
  // The optional functions that the op implements.
  bool has_backward = false;
  bool writable_range : 1 = false, is_identity_pullback : 1 = false, accumulates_into_output_grad : 1 = false;
  bool watched : 1 = false;        // an observer waits for its gradient
  std::uint32_t first_output = 0;  // flat number of outputs[0]
  std::uint16_t input_count = 0, output_count = 0;

  /// Returns true when `parameter` has changed since it was recorded.
  bool outdated() const {
    return parameter != nullptr && static_cast<std::uint32_t>(parameter->version()) != parameter_version;
  }
};
static_assert(sizeof(Node) == 64);

/// The entry of one flat number: its value, its node, and the flags that a backward pass reads.
struct FlatOutput {
  const TensorView* view;
  std::uint32_t node;
  bool needs_grad, leaf, of_parameter;
};

}  // namespace tapegrad
