#pragma once
#include <tests/parity/optim_case.h>

namespace tapegrad::test {

/// A number as Python's float.
inline std::string python(double value) {
  const std::string text = fmt::format("{}", value);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}
inline std::string python(bool value) { return value ? "True" : "False"; }

/// Keyword arguments of a Python call; arguments equal to the default are omitted, so that defaults are
/// compared too.
class Keywords {
 public:
  template <class T>
  Keywords& add(const char* name, const T& value, const T& initial) {
    if (value == initial) return *this;
    return text(fmt::format("{}={}", name, python(value)));
  }
  Keywords& text(const std::string& more) {
    text_ += (text_.empty() ? "" : ", ") + more;
    return *this;
  }
  const std::string& str() const { return text_; }

 private:
  std::string text_;
};

inline Keywords python(const optim::SGDOptions& o, const optim::SGDOptions& d = {}) {
  return Keywords()
      .add("lr", o.learning_rate, d.learning_rate)
      .add("momentum", o.momentum, d.momentum)
      .add("dampening", o.dampening, d.dampening)
      .add("weight_decay", o.weight_decay, d.weight_decay)
      .add("nesterov", o.nesterov, d.nesterov)
      .add("maximize", o.maximize, d.maximize);
}

/// The common options of Adam and AdamW.
template <class Options>
Keywords python_adam(const Options& o, const Options& d) {
  Keywords words;
  words.add("lr", o.learning_rate, d.learning_rate);
  if (o.beta1 != d.beta1 || o.beta2 != d.beta2)
    words.text(fmt::format("betas=({}, {})", python(o.beta1), python(o.beta2)));
  return words.add("eps", o.eps, d.eps)
      .add("weight_decay", o.weight_decay, d.weight_decay)
      .add("amsgrad", o.amsgrad, d.amsgrad)
      .add("maximize", o.maximize, d.maximize);
}
inline Keywords python(const optim::AdamOptions& o, const optim::AdamOptions& d = {}) {
  return python_adam(o, d).add("decoupled_weight_decay", o.decoupled, d.decoupled);
}
inline Keywords python(const optim::AdamWOptions& o, const optim::AdamWOptions& d = {}) {
  return python_adam(o, d);
}

inline Keywords python(const optim::RMSpropOptions& o, const optim::RMSpropOptions& d = {}) {
  return Keywords()
      .add("lr", o.learning_rate, d.learning_rate)
      .add("alpha", o.alpha, d.alpha)
      .add("eps", o.eps, d.eps)
      .add("weight_decay", o.weight_decay, d.weight_decay)
      .add("momentum", o.momentum, d.momentum)
      .add("centered", o.centered, d.centered)
      .add("maximize", o.maximize, d.maximize);
}

inline Keywords python(const optim::AdagradOptions& o, const optim::AdagradOptions& d = {}) {
  return Keywords()
      .add("lr", o.learning_rate, d.learning_rate)
      .add("lr_decay", o.lr_decay, d.lr_decay)
      .add("weight_decay", o.weight_decay, d.weight_decay)
      .add("initial_accumulator_value", o.initial_accumulator_value, d.initial_accumulator_value)
      .add("eps", o.eps, d.eps)
      .add("maximize", o.maximize, d.maximize);
}

/// The options and PyTorch's name of an optimizer; an optimizer of ours needs a line here and its `python`.
template <class T>
struct Torch;
template <>
struct Torch<optim::SGD> {
  using Options = optim::SGDOptions;
  static constexpr const char* name = "SGD";
};
template <>
struct Torch<optim::Adam> {
  using Options = optim::AdamOptions;
  static constexpr const char* name = "Adam";
};
template <>
struct Torch<optim::AdamW> {
  using Options = optim::AdamWOptions;
  static constexpr const char* name = "AdamW";
};
template <>
struct Torch<optim::RMSprop> {
  using Options = optim::RMSpropOptions;
  static constexpr const char* name = "RMSprop";
};
template <>
struct Torch<optim::Adagrad> {
  using Options = optim::AdagradOptions;
  static constexpr const char* name = "Adagrad";
};

}  // namespace tapegrad::test
