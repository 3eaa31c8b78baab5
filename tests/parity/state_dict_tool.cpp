// State dicts of the layer cases, for state_dict.py:
//   state_dict_tool list                       JSON: {CASE: Python that makes the counterpart}
//   state_dict_tool first CASE OUT COUNT       saves so many new layers, as SEED/NAME
//   state_dict_tool load CASE IN OUT [f64]     loads IN strictly into a new layer and saves it again
// exit 65: IN does not fit the layer.
#include <tapegrad/nn/io/state_dict.h>

#include <cstdio>
#include <span>

#include <tests/parity/layer_case.h>

namespace tapegrad::test {
namespace {

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c;
  }
  return out + '"';
}

void list() {
  const char* separator = "{";
  for (const LayerCase& layer : all_layer_cases()) {
    std::printf("%s%s: %s", separator, quoted(layer.name).c_str(), quoted(layer.module).c_str());
    separator = ",\n ";
  }
  std::puts("}");
}

/// Makes the layer of a case.
LayerCase::Call build(const std::string& name, ParameterStore& params) {
  for (const LayerCase& layer : all_layer_cases())
    if (layer.name == name) return layer.build(params.root());
  throw Error(fmt::format("no layer case '{}'; state_dict_tool list shows them", name));
}

int main(std::span<char*> given) {
  std::vector<std::string> words(given.begin(), given.end());
  if (words == std::vector<std::string>{"list"}) {
    list();
    return 0;
  }
  expects(words.size() >= 4, "usage: list | first CASE OUT COUNT | load CASE IN OUT [f64]");
  if (words[0] == "first") {
    TensorFile file;
    for (std::uint64_t seed = 0; seed < std::stoull(words[3]); ++seed) {
      ParameterStore params(seed, DType::f64);
      const LayerCase::Call layer = build(words[1], params);
      for (const Parameter& p : params)
        file.tensors[fmt::format("{}/{}", seed, p.path())] = p.value().clone();
    }
    save_safetensors(words[2], file);
    return 0;
  }
  expects(words[0] == "load", "no command {}", words[0]);
  ParameterStore params(2, words.size() > 4 ? DType::f64 : DType::f32);
  const LayerCase::Call layer = build(words[1], params);
  load_weights(words[2], params);
  save_weights(words[3], params);
  return 0;
}

}  // namespace
}  // namespace tapegrad::test

int main(int count, char** words) {
  try {
    return tapegrad::test::main(std::span(words, static_cast<std::size_t>(count)).subspan(1));
  } catch (const tapegrad::DataError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 65;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "state_dict_tool: %s\n", error.what());
    return 2;
  }
}
