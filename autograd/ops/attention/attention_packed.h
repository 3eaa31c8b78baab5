#pragma once
#include "attention.h"

namespace tapegrad {

struct PackedAttentionOptions {
  Index heads = 1;       ///< lie side by side
  Mask mask = {};        ///< which keys take part
  double dropout = 0;    ///< probability for each weight; active when the tape is training
  bool weights = false;  ///< wanted as a result
  bool scores = false;   ///< likewise
};

/// `attention` of heads that one product projected side by side, read where they lie; the same bits as of
/// query, key and value apart.  qkv = query | key | value: [batch, time, 3 · heads · dim], or without batch,
/// -> [batch, time, heads · dim];  dqkv = dquery | dkey | dvalue.  `AttentionResult::weights` and
/// `scores` are empty unless asked for. Throws when the shapes do not fit, and as `attention` does.
AttentionResult attention_packed(const Var& qkv, const PackedAttentionOptions& options);

/// The same over a memory:  query [batch, query, heads · dim], kv = key | value: [batch, key, 2 · heads ·
/// dim].
AttentionResult attention_packed(const Var& query, const Var& kv, const PackedAttentionOptions& options);

}  // namespace tapegrad
