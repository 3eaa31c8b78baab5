/// Deliberately wrong backward rules, which show a learner what a mistake does to the gradients.
#pragma once
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "../../backward/steps.h"

namespace tapegrad {

/// A mistake that backward rules are really written with, for readers to find: the numerical gradient of the
/// value behind it is the first that disagrees.
struct BrokenRule {
  std::string_view name;
  std::string_view mistake;  ///< what the rule does wrong, in one sentence
};

/// All there are.
std::span<const BrokenRule> broken_rules();

/// The rule of this name or of the only name that begins with it. Throws Error with the list for any other.
const BrokenRule& find_broken_rule(std::string_view name);

/// Breaks a rule at one place of the recording: the first one in the first decoder layer where the mistake
/// shows, or else the first one at all. Goes into StepOptions::intervene or RecordOptions::intervene, for one
/// pass. Throws Error when the mistake fits nowhere.
std::function<void(Step&)> break_rule(const BrokenRule& rule, const Var& loss);

}  // namespace tapegrad
