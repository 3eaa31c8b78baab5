/// Internal: the attributes of one attention as its ops hold them.
#pragma once
#include "../dropout.h"
#include "attention.h"

namespace tapegrad {

/// Scale, mask and dropout of an attention; the mask's arrays are in a tape's arena.
struct AttentionState {
  double scale = 1;
  MaskView mask;
  double dropout = 0;   ///< 0 unless it is active
  RandomKey draw = {};  ///< of the dropout, where it is active

  /// dropout(x) by this draw; x where dropout is not active.
  Var drop(const Var& x) const { return dropout > 0 ? dropout_with(x, dropout, draw) : x; }
};

/// The state that `options` give an attention whose heads are `dim` wide. Takes one draw of the tape where
/// dropout is active. Throws when dropout is outside [0, 1].
AttentionState attention_state(Tape& tape, const AttentionOptions& options, Index dim);

}  // namespace tapegrad
