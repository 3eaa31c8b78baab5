/// SIGINT and SIGTERM as a flag, so that training can save before it ends.
#pragma once

namespace tapegrad::seq2seq {

/// Installs handlers: the first SIGINT or SIGTERM only makes `interrupted` true, so that training can save;
/// the second one ends the program.
void catch_interrupts();
bool interrupted() noexcept;

}  // namespace tapegrad::seq2seq
