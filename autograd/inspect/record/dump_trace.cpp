// A recording in the trace event format.
#include <algorithm>

#include "../page/json_text.h"
#include "dump.h"

namespace tapegrad {
namespace {

constexpr int process = 1, forward_track = 1, backward_track = 2;

class Trace {
 public:
  explicit Trace(const TapeRecord& record) : record_(record) {}

  std::string write() {
    json_.open('{').key("displayTimeUnit").string("ns").key("traceEvents").open('[');
    name("process_name", 0, "tapegrad");
    name("thread_name", forward_track, "forward");
    name("thread_name", backward_track, "backward");
    for (const RecordedValue& v : record_.values)
      if (v.forward_ns > 0) event(v, "forward", forward_track, v.forward_ns, v.flops, forward_bytes(v));
    for (const std::uint32_t id : record_.order) {
      const RecordedValue& v = record_[id];
      const double products = static_cast<double>(std::min<std::size_t>(v.input_grads.size(), 2));
      if (v.backward_ns > 0)
        event(v, "backward", backward_track, v.backward_ns, v.flops * products, backward_bytes(v));
    }
    return json_.close(']').close('}').text();
  }

 private:
  Index bytes(const Shape& shape) const {
    return shape.size() * static_cast<Index>(byte_size(record_.dtype));
  }
  /// Bytes read and written by the op.
  Index forward_bytes(const RecordedValue& v) const {
    Index count = bytes(v.shape);
    for (const std::uint32_t input : v.inputs) count += bytes(record_[input].shape);
    return count;
  }
  Index backward_bytes(const RecordedValue& v) const {
    Index count = forward_bytes(v);
    for (const RecordedPart& part : v.input_grads) count += bytes(part.shape);
    return count;
  }

  void name(const char* what, int track, const char* text) {
    json_.open('{').key("name").string(what).key("ph").string("M").key("pid").integer(process);
    if (track > 0) json_.key("tid").integer(track);
    json_.key("args").open('{').key("name").string(text).close('}').close('}');
  }

  void event(const RecordedValue& v, const char* pass, int track, double ns, double flops, Index count) {
    const std::string path = v.name();
    json_.open('{').key("name").string(path.empty() ? v.op : fmt::format("{} {}", v.op, path));
    json_.key("cat").string(pass).key("ph").string("X").key("pid").integer(process).key("tid").integer(track);
    json_.key("ts").number(now_ns_ / 1000).key("dur").number(ns / 1000).key("args").open('{');
    json_.key("value").integer(v.id).key("op").string(v.op).key("path").string(path);
    json_.key("shape").string(fmt::format("{}", v.shape)).key("flops").number(flops);
    json_.key("bytes").integer(count).close('}').close('}');
    now_ns_ += ns;
  }

  const TapeRecord& record_;
  JsonText json_;
  double now_ns_ = 0;
};

}  // namespace

std::string dump_trace(const TapeRecord& record) {
  expects(std::any_of(record.values.begin(), record.values.end(),
                      [](const RecordedValue& v) { return v.forward_ns > 0; }),
          "dump_trace: this recording has no times; make it with record(loss, {{.time = true}})");
  return Trace(record).write();
}

}  // namespace tapegrad
