/// Finds the attention in a recording, head by head, for the page and its text.
#pragma once
#include "explanation.h"

namespace tapegrad {

/// The attention layers of a recording of one sequence, found by their structure: weights P = softmax(S), S
/// made of a product Q K' (scaled, masked, a bias added), the product O = P V, and before them the
/// projections that Q, K and V come from, each a linear layer or a product x W. The projection that O goes
/// into belongs to the lab where there is one. `source` and `target` name the rows and columns whose number
/// fits; others are numbered. Left out: what does not have all of these parts, a batch of several sequences,
/// a layer that not every gradient reached. A tape of fused ops shows an attention layer as one value: record
/// with
/// `.show_parts = true`. `notices` are told of attention that has no lab, and why.
std::vector<AttentionView> find_attention_views(const TapeRecord& tape,
                                                const std::vector<std::string>& source,
                                                const std::vector<std::string>& target,
                                                std::vector<std::string>* notices = nullptr);

/// Labels the values that the labs name `query`, `key`, `value`, `scores`, `weights`, `context`, `merged`.
void label_values(TapeRecord& tape, const std::vector<AttentionView>& labs);

/// The values whose gradients a reader of the labs wants checked element by element.
std::vector<std::uint32_t> lab_values(const std::vector<AttentionView>& labs);

}  // namespace tapegrad
