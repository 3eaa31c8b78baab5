/// Finds the attention layers of a recording, for the explorer page and its text (`find_attention_views`).
#pragma once
#include "explanation.h"

namespace tapegrad {

/// The attention layers of a recording of one sequence, found by their structure: weights P = softmax(S), S
/// made of a product Q K' (scaled, masked, a bias added), the product O = P V, and before them the
/// projections that Q, K and V come from, each a linear layer or a product x W. The projection of O belongs
/// to the view when there is one. `source` and `target` name the rows and columns when their number fits;
/// otherwise these are numbered. An attention layer has no view when one of these parts is missing, when it
/// ran on a batch of several sequences, or when not all of its gradients were computed; `notices` then gets a
/// sentence with its path and the reason. A tape of fused ops shows an attention layer as one value: record
/// with `.show_parts = true`.
std::vector<AttentionView> find_attention_views(const TapeRecord& tape,
                                                const std::vector<std::string>& source,
                                                const std::vector<std::string>& target,
                                                std::vector<std::string>* notices = nullptr);

/// Labels the values of the views with their names, such as `query` and `scores`, unless they have a label.
void label_values(TapeRecord& tape, const std::vector<AttentionView>& views);

/// The ids of the values that `label_values` labels. Their gradients are checked element by element.
std::vector<std::uint32_t> attention_values(const std::vector<AttentionView>& views);

}  // namespace tapegrad
