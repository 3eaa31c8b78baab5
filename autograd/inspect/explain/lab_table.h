#pragma once
#include <string>
#include <vector>

#include "explanation.h"

namespace tapegrad {

/// One matrix of the attention lab, with names of its rows and columns.
struct LabTable {
  std::string step, name, formula;
  std::vector<std::string> rows, columns;
  std::vector<double> values;  // row-major
};

/// The lab's path; "the run" for attention that stands in no layer.
std::string path_of(const AttentionLab& lab);

/// The arrays of one head in the order of the lab's steps: Q K V S P O Y, dO dV dP D dS dQ dK dX dW.
std::vector<LabTable> lab_tables(const Explanation& what, const AttentionLab& lab, Index head);

}  // namespace tapegrad
