/// Dumps of a recording: a text table, a graph for graphviz and a trace of op times.
#pragma once
#include <string>
#include <string_view>

#include "record.h"

namespace tapegrad {

/// A recording for a terminal: one line per value, in the order of execution, with its number, op, path,
/// shape, inputs, and the ranges of its values and of its gradient, or `not reached` by the backward pass.
/// `pattern`, with the wildcards of ParameterStore::freeze, selects values by RecordedValue::name or by
/// module.
std::string dump_text(const TapeRecord& record, std::string_view pattern = "*");

/// A recording as a graph for graphviz (`dot -Tsvg`): modules are nested clusters, parameters are boxes,
/// results are ellipses. Values that no gradient reaches are grey, values with a NaN or an infinity are red.
std::string dump_dot(const TapeRecord& record);

/// The times of all ops in the trace event format, for ui.perfetto.dev or chrome://tracing: complete events
/// on one track for the forward and one for the backward pass, with op, path, shape, FLOPs and bytes. Events
/// are consecutive and as long as the op took when it was run again. Backward FLOPs are an estimate: the
/// forward's for each of at most two inputs. Throws unless the recording was made with `.time = true`.
std::string dump_trace(const TapeRecord& record);

}  // namespace tapegrad
