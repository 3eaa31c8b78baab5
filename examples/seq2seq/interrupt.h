#pragma once

namespace tapegrad::seq2seq {

/// From now on the first SIGINT or SIGTERM only makes `interrupted` true, so that training can save; the
/// second one ends the program.
void catch_interrupts();
bool interrupted() noexcept;

}  // namespace tapegrad::seq2seq
