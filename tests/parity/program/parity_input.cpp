#include "tests/parity/program/parity_input.h"

#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/io/problems.h>
#include <tapegrad/nn/io/state_dict.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <set>

#include "examples/seq2seq/option_fields.h"

namespace tapegrad::test {
using namespace nn;
namespace {

const std::vector<std::string> mask_names = {"src_key_padding_mask", "tgt_key_padding_mask",
                                             "memory_key_padding_mask"};
constexpr std::string_view model_prefix = "model.";

/// Reads metadata as typed values. Missing and unreadable keys become problems.
class Metadata {
 public:
  Metadata(const std::map<std::string, std::string>& values, Problems& problems)
      : values_(values), problems_(problems) {}

  Index count(const std::string& key, double low = 1) {
    const std::string* text = find(key);
    if (text == nullptr) return 0;
    try {
      return seq2seq::parse_integer(*text, {.low = low, .high = 65536}, "metadata " + key);
    } catch (const Error& error) {
      problems_.add("{}", error.what());
      return 0;
    }
  }
  double number(const std::string& key) {
    const std::string* text = find(key);
    if (text == nullptr) return 0;
    double value = 0;
    const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), value);
    if (error != std::errc() || end != text->data() + text->size() || !(value >= 0) || !std::isfinite(value))
      refuse(key, *text, "a number of at least 0");
    return value;
  }
  bool flag(const std::string& key) { return choice(key, "False", "True"); }
  /// True for `second`.
  bool choice(const std::string& key, const char* first, const char* second) {
    const std::string* text = find(key);
    if (text != nullptr && *text != first && *text != second)
      refuse(key, *text, fmt::format("{} or {}", first, second));
    return text != nullptr && *text == second;
  }
  void refuse(const std::string& key, const std::string& got, const std::string& expected) {
    problems_.add("metadata {}: got {}, expected {}", key, in_quotes(got), expected);
  }
  /// May be left out, but has one value only.
  void expect_if_given(const std::string& key, const std::string& expected) {
    known_.insert(key);
    const auto at = values_.find(key);
    if (at != values_.end() && at->second != expected) refuse(key, at->second, expected);
  }
  /// Keys that were not read. `format` is in every file; the state dict's ties are read with it.
  std::vector<std::string> unknown() const {
    std::vector<std::string> names;
    for (const auto& [key, value] : values_)
      if (key != "format" && !key.starts_with(model_prefix) && !known_.contains(key)) names.push_back(key);
    return names;
  }

 private:
  const std::string* find(const std::string& key) {
    known_.insert(key);
    const auto at = values_.find(key);
    if (at == values_.end()) problems_.add("no metadata \"{}\"", key);
    return at == values_.end() ? nullptr : &at->second;
  }

  const std::map<std::string, std::string>& values_;
  Problems& problems_;
  std::set<std::string> known_;
};

TransformerOptions read_options(Metadata& metadata) {
  TransformerOptions o{.d_model = metadata.count("d_model"),
                       .nhead = metadata.count("nhead"),
                       .num_encoder_layers = metadata.count("num_encoder_layers", 0),
                       .num_decoder_layers = metadata.count("num_decoder_layers", 0),
                       .dim_feedforward = metadata.count("dim_feedforward"),
                       .dropout = 0};
  o.activation = metadata.choice("activation", "relu", "gelu") ? Activation::gelu : Activation::relu;
  o.layer_norm_eps = metadata.number("layer_norm_eps");
  o.norm_first = metadata.flag("norm_first");
  o.bias = metadata.flag("bias");
  if (o.d_model > 0 && o.nhead > 0 && o.d_model % o.nhead != 0)
    metadata.refuse("nhead", fmt::format("{}", o.nhead), fmt::format("a divisor of d_model = {}", o.d_model));
  return o;
}

/// Returns false, with a problem, when the network would be much larger than its file.
bool check_size(const TransformerOptions& o, const TensorFile& file, Problems& problems) {
  constexpr double slack = 65536;
  const double width = static_cast<double>(o.d_model), ff = static_cast<double>(o.dim_feedforward),
               encoder = static_cast<double>(o.num_encoder_layers),
               decoder = static_cast<double>(o.num_decoder_layers);
  const double wanted = 4 * width * width * (encoder + 2 * decoder) + 2 * width * ff * (encoder + decoder);
  double present = 0;
  for (const auto& [name, tensor] : file.tensors)
    if (name.starts_with(model_prefix)) present += static_cast<double>(tensor.size());
  if (wanted <= 2 * present + slack) return true;
  problems.add("the metadata call for a network of {} weights, but the tensors under \"{}\" hold {} values",
               wanted, model_prefix, present);
  return false;
}

/// A shape with names for free extents, such as [batch, source, 8].
using Extents = std::vector<std::string>;

class Inputs {
 public:
  Inputs(const TensorFile& file, Problems& problems) : file_(file), problems_(problems) {}

  /// The floating tensor `name`, or an empty one and a problem. A number in `extents` must be met.
  Tensor floating(const std::string& name, const Extents& extents) {
    const auto at = file_.tensors.find(name);
    if (at == file_.tensors.end()) {
      problems_.add("no tensor '{}' of shape [{}]", name, fmt::join(extents, ", "));
      return {};
    }
    return fits(name, at->second, extents) ? at->second : Tensor();
  }

  /// The padding mask `name` [batch, time], 1 = blocked; nothing is blocked when the file has none.
  Mask padding(const std::string& name, const Extents& extents) {
    const auto at = file_.tensors.find(name);
    if (at == file_.tensors.end()) return {};
    const Tensor& mask = at->second;
    if (mask.dtype() != DType::u8 && mask.dtype() != DType::boolean) {
      problems_.add("tensor '{}': got {}, expected U8 or BOOL, 1 = blocked", name, dtype_name(mask.dtype()));
      return {};
    }
    if (!fits(name, mask, extents)) return {};
    const std::vector<double> values = mask.to_vector();
    for (std::size_t i = 0; i < values.size(); ++i) {
      if (values[i] == 0 || values[i] == 1) continue;
      const auto time = static_cast<std::size_t>(mask.shape()[1]);
      problems_.add("tensor '{}': got {} at [{}, {}], expected 0 or 1 (blocked)", name, values[i], i / time,
                    i % time);
      return {};
    }
    const Shape keys{mask.shape()[0], 1, 1, mask.shape()[1]};
    return Mask::block(mask.to(DType::boolean).reshaped(keys));
  }

 private:
  bool fits(const std::string& name, const Tensor& tensor, const Extents& extents) {
    const Shape& shape = tensor.shape();
    bool same = shape.rank() == static_cast<int>(extents.size());
    for (int i = 0; same && i < shape.rank(); ++i) {
      const std::string& extent = extents[static_cast<std::size_t>(i)];
      const bool free = !std::isdigit(static_cast<unsigned char>(extent.front()));
      same = free ? shape[i] > 0 : extent == fmt::format("{}", shape[i]);
    }
    if (!same)
      problems_.add("tensor '{}': got shape {}, expected [{}]", name, shape, fmt::join(extents, ", "));
    return same;
  }

  const TensorFile& file_;
  Problems& problems_;
};

std::string extent(const Tensor& tensor, int axis, const char* otherwise) {
  return tensor ? fmt::format("{}", tensor.shape()[axis]) : otherwise;
}

void read_inputs(ParityInput& input, const TensorFile& file, Problems& problems) {
  Inputs inputs(file, problems);
  const std::string width = fmt::format("{}", input.options.d_model);
  input.src = inputs.floating("src", {"batch", "source", width});
  const std::string batch = extent(input.src, 0, "batch"), source = extent(input.src, 1, "source");
  input.tgt = inputs.floating("tgt", {batch, "target", width});
  const std::string target = extent(input.tgt, 1, "target");
  input.dout = inputs.floating("dout", {batch, target, width});
  input.masks.source = inputs.padding(mask_names[0], {batch, source});
  input.masks.target = inputs.padding(mask_names[1], {batch, target});
  input.masks.memory = inputs.padding(mask_names[2], {batch, source});
  if (input.causal) input.masks.target = input.masks.target & Mask::causal();
}

/// The inputs have one dtype, that of `src`, or else of the first that can be computed with.
std::optional<DType> check_dtypes(const TensorFile& file, Problems& problems) {
  std::optional<DType> expected;
  std::string first;
  for (const char* name : {"src", "tgt", "dout"}) {
    const auto at = file.tensors.find(name);
    if (at == file.tensors.end()) continue;
    const DType dtype = at->second.dtype();
    if (!can_compute(dtype)) {
      problems.add("tensor '{}': got {}, expected f32 or f64", name, dtype_name(dtype));
    } else if (!expected) {
      expected = dtype;
      first = name;
    } else if (dtype != *expected) {
      problems.add("tensor '{}': got {}, expected {}, as '{}'", name, dtype_name(dtype),
                   dtype_name(*expected), first);
    }
  }
  return expected;
}

/// Reports the errors of `load_state_dict` together with the other problems. Without a `dtype` any dtype is
/// accepted.
void check_model(const TransformerOptions& options, const TensorFile& file, std::optional<DType> dtype,
                 Problems& problems) {
  ParameterStore params(0, dtype.value_or(DType::f32));
  const Transformer model(params.root(), options);
  try {
    check_state_dict(params, file, {.prefix = std::string(model_prefix), .convert = !dtype});
  } catch (const DataError& error) {
    std::string text;
    for (const char* at = error.what(); *at != '\0'; ++at) text += *at == '\n' ? "\n  " : std::string(1, *at);
    problems.add("{}", text);
  }
}

/// A mask that goes unnoticed would make every number wrong.
void sort_names(ParityInput& input, const TensorFile& file, Problems& problems) {
  for (const auto& [name, tensor] : file.tensors) {
    const bool known = name.starts_with(model_prefix) || name == "src" || name == "tgt" || name == "dout" ||
                       std::find(mask_names.begin(), mask_names.end(), name) != mask_names.end();
    if (known) continue;
    if (name.find("mask") != std::string::npos) {
      const std::string near = seq2seq::suggestion(name, mask_names);
      problems.add("unknown tensor {}{}", in_quotes(name),
                   near.empty() ? fmt::format(", masks are {}, and metadata tgt_is_causal",
                                              fmt::join(mask_names, ", "))
                                : near);
    } else {
      input.unused.push_back(name);
    }
  }
}

}  // namespace

ParityInput read_parity_input(const std::string& path) {
  ParityInput input;
  input.file = load_safetensors(path);
  const TensorFile& file = input.file;
  Problems problems;
  Metadata metadata(file.metadata, problems);
  input.options = read_options(metadata);
  input.causal = metadata.flag("tgt_is_causal");
  metadata.expect_if_given("batch_first", "True");
  problems.raise(printable(path));
  sort_names(input, file, problems);
  for (const std::string& key : metadata.unknown()) input.unused.push_back("metadata " + key);
  const std::optional<DType> dtype = check_dtypes(file, problems);
  read_inputs(input, file, problems);
  const bool fits = check_size(input.options, file, problems);
  if (fits && problems.count() > 0) check_model(input.options, file, dtype, problems);
  problems.raise(printable(path));
  return input;
}

}  // namespace tapegrad::test
