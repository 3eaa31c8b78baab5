// Timeline -> JSON.
#include "../page/json_text.h"
#include "timeline.h"

namespace tapegrad {
namespace {

void numbers(JsonText& json, std::string_view key, const std::vector<double>& values) {
  json.key(key).open('[');
  for (const double value : values) json.number(value);
  json.close(']');
}

void shape(JsonText& json, const Shape& shape) {
  json.key("shape").open('[');
  for (int axis = 0; axis < static_cast<int>(shape.rank()); ++axis) json.integer(shape[axis]);
  json.close(']');
}

void put(JsonText& json, const TimelineSample& s) {
  json.open('{').key("step").integer(s.step).key("loss").number(s.loss);
  json.key("learning_rate").number(s.learning_rate).key("gradient_norm").number(s.gradient_norm);
  numbers(json, "gradient", s.gradient);
  numbers(json, "weight", s.weight);
  numbers(json, "update", s.update);
  numbers(json, "entropy", s.entropy);
  numbers(json, "focus", s.focus);
  numbers(json, "head_gradient", s.head_gradient);
  json.close('}');
}

void put(JsonText& json, const AttentionSnapshot& snapshot) {
  json.open('{').key("step").integer(snapshot.step).key("maps").open('[');
  for (const auto& map : snapshot.maps) {
    std::vector<unsigned char> bytes;  // little-endian on every machine
    bytes.reserve(2 * map.size());
    for (const std::uint16_t weight : map) {
      bytes.push_back(static_cast<unsigned char>(weight & 255));
      bytes.push_back(static_cast<unsigned char>(weight >> 8));
    }
    json.string(base64(bytes.data(), bytes.size()));
  }
  json.close(']').close('}');
}

void put(JsonText& json, const InitReport& report) {
  json.open('{').key("parameters").open('[');
  for (const ParameterStart& p : report.parameters) {
    json.open('{').key("name").string(p.name);
    shape(json, p.shape);
    json.key("mean").number(p.mean).key("deviation").number(p.deviation).key("rule").string(p.rule);
    json.key("promised").number(p.promised).key("suspicious").boolean(p.suspicious).close('}');
  }
  json.close(']').key("layers").open('[');
  for (const LayerSignal& layer : report.layers) {
    json.open('{').key("path").string(layer.path);
    shape(json, layer.shape);
    json.key("activation").number(layer.activation).key("gradient").number(layer.gradient).close('}');
  }
  json.close(']').key("warnings").strings(report.warnings).close('}');
}

template <class T>
std::string text_of(const T& value) {
  JsonText json;
  put(json, value);
  return json.text();
}

template <class T>
void list(JsonText& json, std::string_view key, const std::vector<T>& values) {
  json.key(key).open('[');
  for (const T& value : values) put(json, value);
  json.close(']');
}

}  // namespace

std::string to_json(const TimelineSample& sample) { return text_of(sample); }
std::string to_json(const AttentionSnapshot& snapshot) { return text_of(snapshot); }
std::string to_json(const InitReport& report) { return text_of(report); }

std::string to_json(const Timeline& timeline) {
  JsonText json;
  json.open('{').key("schema").string("timeline/1").key("title").string(timeline.title);
  json.key("facts").open('[');
  for (const auto& [name, value] : timeline.facts) json.strings({name, value});
  json.close(']').key("layers").strings(timeline.layers).key("attention").open('[');
  for (const WatchedAttention& a : timeline.attention) {
    json.open('{').key("path").string(a.path).key("heads").integer(a.heads);
    json.key("rows").strings(a.rows).key("columns").strings(a.columns).close('}');
  }
  json.close(']').key("initial");
  if (timeline.initial)
    put(json, *timeline.initial);
  else
    json.null();
  list(json, "samples", timeline.samples);
  json.key("validation").open('[');
  for (const ValidationPoint& point : timeline.validation)
    json.open('{').key("step").integer(point.step).key("loss").number(point.loss).close('}');
  json.close(']');
  list(json, "snapshots", timeline.snapshots);
  return json.close('}').text();
}

}  // namespace tapegrad
