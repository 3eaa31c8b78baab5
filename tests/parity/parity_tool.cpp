// Writes tapegrad's results for all cases of a family, for the comparison with PyTorch:
//   parity_tool FAMILY OUT.safetensors [--seed N] [--dtype f32|f64]
//   parity_tool --list        the families, one a line
#include <tapegrad/nn/io/safetensors.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <set>
#include <span>

#include <tests/parity/case.h>

namespace tapegrad::test {
namespace {

constexpr const char* usage =
    "usage: parity_tool FAMILY OUT.safetensors [--seed N] [--dtype f32|f64]\n"
    "       parity_tool --list\n";

std::string json(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20)
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else if (c == '"' || c == '\\')
      quoted += fmt::format("\\{}", c);
    else
      quoted += c;
  }
  return quoted + '"';
}

TensorFile compute(const CaseFamily& family, const Way& way, std::uint64_t seed) {
  TensorFile file;
  std::set<std::string> names;
  std::string cases;
  for (const ParityCase& parity : family.make()) {
    expects(names.insert(parity.name).second, "{}: two cases are called {}", family.name, parity.name);
    cases += fmt::format("{}{}:{{\"torch\":{},\"module\":{}}}", cases.empty() ? "{" : ",", json(parity.name),
                         json(parity.torch), json(parity.module));
    if (parity.torch.starts_with("none: ")) continue;
    try {
      for (const auto& [name, tensor] : parity.run(way, seed))
        file.tensors[fmt::format("{}/{}", parity.name, name)] = tensor;
    } catch (const std::exception& error) {
      throw Error(fmt::format("{}: {}: {}", family.name, parity.name, error.what()));
    }
  }
  file.metadata["cases"] = cases.empty() ? "{}" : cases + "}";
  return file;
}

int main(std::span<char*> words) {
  std::uint64_t seed = golden_seed;
  DType dtype = DType::f64;
  std::vector<std::string> names;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string word = words[i], value = i + 1 < words.size() ? words[i + 1] : "";
    if (word == "--list") {
      for (const CaseFamily* f = CaseFamily::first(); f != nullptr; f = f->next) std::puts(f->name);
      return 0;
    }
    if (word == "--seed") {
      const auto parsed = std::from_chars(value.data(), value.data() + value.size(), seed);
      expects(!value.empty() && parsed.ptr == value.data() + value.size() && parsed.ec == std::errc(),
              "--seed takes a number, got '{}'", value);
      ++i;
    } else if (word == "--dtype") {
      expects(value == "f32" || value == "f64", "--dtype is f32 or f64, got '{}'", value);
      dtype = value == "f32" ? DType::f32 : DType::f64;
      ++i;
    } else {
      names.push_back(word);
    }
  }
  expects(names.size() == 2, "{}", usage);
  for (const CaseFamily* f = CaseFamily::first(); f != nullptr; f = f->next) {
    if (f->name != names[0]) continue;
    const Way* way =
        std::find_if(std::begin(ways), std::end(ways), [=](const Way& w) { return w.dtype == dtype; });
    save_safetensors(names[1], compute(*f, *way, seed));
    return 0;
  }
  throw Error(fmt::format("no family {}; parity_tool --list shows them", names[0]));
}

}  // namespace
}  // namespace tapegrad::test

int main(int count, char** words) {
  try {
    return tapegrad::test::main(std::span(words, static_cast<std::size_t>(count)).subspan(1));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "parity_tool: %s\n", error.what());
    return 2;
  }
}
