#pragma once
#include <tapegrad/autograd/op.h>

#include <functional>

#include "mutant.h"

/// Mutants of a backward rule as a whole; they take the numbers from `first` on, in the order of the
/// enumerators.
namespace mutation {

using tapegrad::BackwardArgs;
using tapegrad::PullbackArgs;
using tapegrad::Var;
using tapegrad::VarList;

enum class Whole { negated, doubled, halved, reversed, zeroed, ones, overwritten, swapped };

/// The results of a pullback: negated, doubled, halved, with elements in reverse order, zeroed, of a
/// cotangent of ones, or swapped.
VarList results(int first, const PullbackArgs& args, const std::function<VarList(const PullbackArgs&)>& rule);

/// Runs the raw backward of `op` with its contributions changed in one of these ways, or written over the old
/// values.
void raw(int first, const tapegrad::Op& op, const BackwardArgs& args,
         const std::function<void(const BackwardArgs&)>& rule);

/// Replaces sum_to: takes the first element instead of the sum.
Var unsummed(const Var& x, const tapegrad::Shape& shape);

}  // namespace mutation
