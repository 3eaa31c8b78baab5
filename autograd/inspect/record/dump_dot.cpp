// A recording as a graph for graphviz.
#include <map>

#include "dump.h"

namespace tapegrad {
namespace {

std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    c == '\n' ? void(out += "\\n") : void(out += c);
  }
  return out + '"';
}

/// The modules as a tree, in the order in which they first ran.
struct Module {
  std::string path;
  std::vector<const RecordedValue*> values;
  std::vector<Module> parts;

  Module& part(const std::string& name) {
    for (Module& m : parts)
      if (m.path == name) return m;
    return parts.emplace_back(Module{name, {}, {}});
  }
  Module& at(std::string_view full) {
    Module* module = this;
    for (std::size_t end = 0; end < full.size();) {
      end = std::min(full.find('.', end + 1), full.size());
      module = &module->part(std::string(full.substr(0, end)));
    }
    return *module;
  }
};

std::string_view last_name(std::string_view path) { return path.substr(path.rfind('.') + 1); }

class Graph {
 public:
  std::string draw(const TapeRecord& record) {
    out_ = "digraph tape {\n  rankdir=TB;\n  node [fontname=\"sans-serif\"];\n";
    Module top;
    for (const RecordedValue& v : record.values) top.at(v.module).values.push_back(&v);
    draw(top, "  ");
    for (const RecordedValue& v : record.values)
      for (const std::uint32_t input : v.inputs) out_ += fmt::format("  v{} -> v{};\n", input, v.id);
    return out_ + "}\n";
  }

 private:
  void draw(const Module& module, const std::string& indent) {
    for (const RecordedValue* v : module.values) draw(*v, indent);
    for (const Module& part : module.parts) {
      out_ += fmt::format("{}subgraph cluster_{} {{\n{}  label={};\n", indent, clusters_++, indent,
                          quoted(last_name(part.path)));
      draw(part, indent + "  ");
      out_ += indent + "}\n";
    }
  }

  void draw(const RecordedValue& v, const std::string& indent) {
    std::string text = v.parameter ? std::string(last_name(v.label)) : v.op;
    if (!v.parameter && !v.label.empty()) text = fmt::format("{}: {}", v.label, v.op);
    std::string style = v.leaf() ? ", shape=box" : "";
    if (v.non_finite != RecordedValue::NonFinite::none)
      style += ", color=red, fontcolor=red";
    else if (v.gradient.empty())
      style += ", color=gray, fontcolor=gray";
    out_ += fmt::format("{}v{} [label={}{}];\n", indent, v.id, quoted(fmt::format("{}\n{}", text, v.shape)),
                        style);
  }

  std::string out_;
  int clusters_ = 0;
};

}  // namespace

std::string dump_dot(const TapeRecord& record) { return Graph().draw(record); }

}  // namespace tapegrad
