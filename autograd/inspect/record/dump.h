#pragma once
#include <string>
#include <string_view>

#include "record.h"

namespace tapegrad {

/// A recording for a terminal: one line a value, in the order of execution, with its number, op, path, shape,
/// inputs, and the ranges of its values and of its gradient, or `not reached` by the backward pass.
/// `pattern` as in ParameterStore::freeze chooses values by RecordedValue::name or by module.
std::string dump_text(const TapeRecord& record, std::string_view pattern = "*");

/// The same as a graph for graphviz (`dot -Tsvg`): modules are nested clusters, parameters boxes, results
/// ellipses; what no gradient reaches is grey, what holds a NaN or an infinity red.
std::string dump_dot(const TapeRecord& record);

/// How long each op takes, for ui.perfetto.dev or chrome://tracing (the trace event format): complete events
/// on a track for the forward and one for the backward pass, with op, path, shape, FLOPs and bytes. Ops stand
/// one behind the other by the times that they took when run again. FLOPs backward are an estimate: as many
/// as forward for each of at most two inputs. Throws unless the recording was made with `.time = true`.
std::string dump_trace(const TapeRecord& record);

}  // namespace tapegrad
