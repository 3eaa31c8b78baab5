#pragma once

/// Mutants of the backward rules, of which one is alive at a time.
namespace mutation {

extern int active;           ///< the mutant that is alive; -1: none
extern unsigned char* seen;  ///< where mutants that are reached are noted, or null

inline bool on(int mutant) {
  if (seen != nullptr) seen[mutant] = 1;
  return mutant == active;
}

}  // namespace mutation
