/// Tables of one attention head, forward and backward, for the text of an explanation (`head_tables`).
#pragma once
#include <string>
#include <vector>

#include "explanation.h"

namespace tapegrad {

/// One matrix of an attention head, with names of its rows and columns.
struct HeadTable {
  std::string step, name, formula;
  std::vector<std::string> rows, columns;
  std::vector<double> values;  // row-major
};

/// The path of the attention layer; "the run" for attention outside of layers.
std::string path_of(const AttentionView& view);

/// The arrays of one head in the order of computation: Q K V S P O Y, dO dV dP D dS dQ dK dX dW.
std::vector<HeadTable> head_tables(const Explanation& what, const AttentionView& view, Index head);

}  // namespace tapegrad
