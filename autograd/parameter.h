/// Parameters and buffers, the store that holds them by path, and the scope by which layers create them.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <vector>

#include "base/random.h"
#include "tensor/tensor.h"

namespace tapegrad {

/// The description of a rule of initial values: its formula, and mean and standard deviation of the values.
struct InitialRule {
  std::string formula;
  double mean = 0, deviation = 0;
};

/// The one copy of a path that lives for ever, so that tapes may point to it. Bounded by the number of
/// distinct paths.
const std::string* interned_path(std::string_view path);

struct ParameterData {
  std::string path;
  Tensor value;
  Tensor shown;  ///< `value`'s memory, read-only: what users see, so that no change goes unnoticed
  std::uint64_t version =
      0;  ///< grows with every change, so that a recording can tell that it is out of date
  bool frozen = false;
  bool buffer = false;  ///< saved with the model, never trained
  std::optional<InitialRule> initial;

  void show() { shown = value.read_only(interned_path(path)); }
};

/// A named value outside every tape, shared by the layer, the store and the optimizer: a handle.
class Parameter {
 public:
  Parameter() = default;
  explicit Parameter(std::shared_ptr<ParameterData> data) : data_(std::move(data)) {
    if (data_) data_->show();
  }

  const std::string& path() const { return data_->path; }
  const Shape& shape() const { return data_->value.shape(); }
  DType dtype() const { return data_->value.dtype(); }
  /// A read-only handle to the values: a write to it throws an Error that names `update`, and so does a write
  /// to a copy of it.
  Tensor value() const { return data_->shown; }
  std::uint64_t version() const { return data_->version; }
  bool trainable() const { return !data_->frozen && !data_->buffer; }
  bool is_buffer() const { return data_->buffer; }
  /// The rule that filled it at first, where its initializer tells one.
  const std::optional<InitialRule>& initial_rule() const { return data_->initial; }
  explicit operator bool() const { return data_ != nullptr; }

  /// The only way to change a value: `change(Tensor&)`. The version grows before, so that a change that
  /// throws halfway counts too.
  template <class F>
  void update(F&& change) const {
    const Change counted(*data_);
    change(data_->value);
  }
  /// Copies values of the same shape, converting the dtype. Throws with path and both shapes.
  void assign(const Tensor& values) const;

  const ParameterData* data() const { return data_.get(); }
  friend bool operator==(const Parameter& a, const Parameter& b) { return a.data_ == b.data_; }

 private:
  friend class ParameterStore;

  struct Change {
    explicit Change(ParameterData& p) : data(p) { ++data.version; }
    ~Change() {
      if (!data.shown.shares(data.value)) data.show();
    }
    Change(const Change&) = delete;
    Change& operator=(const Change&) = delete;
    ParameterData& data;
  };

  std::shared_ptr<ParameterData> data_;
};

/// Fills a new parameter: any `void(Tensor& values, RandomKey key)`, and what it promises, if anything. The
/// key depends on the store's seed and the parameter's path alone.
class Initializer {
 public:
  using Rule = std::function<InitialRule(const Shape& shape)>;

  Initializer() = default;
  Initializer(std::nullptr_t) {}
  template <class F>
  requires(!std::is_same_v<std::remove_cvref_t<F>, Initializer> &&
           std::is_invocable_v<F&, Tensor&, RandomKey>) Initializer(F&& fill, Rule rule = {})
      : fill_(std::forward<F>(fill)), rule_(std::move(rule)) {}

  void operator()(Tensor& values, RandomKey key) const { fill_(values, key); }
  std::optional<InitialRule> rule(const Shape& shape) const {
    return rule_ ? std::optional(rule_(shape)) : std::nullopt;
  }
  explicit operator bool() const { return static_cast<bool>(fill_); }

 private:
  std::function<void(Tensor& values, RandomKey key)> fill_;
  Rule rule_;
};

class Scope;

/// Another name of a parameter, e.g. `generator.weight` of `tgt_emb.weight`.
struct Tie {
  std::string path;
  Parameter parameter;
};

/// Every parameter and buffer of a model by path, in creation order: the state dict. Layers create them
/// through a Scope.
class ParameterStore {
 public:
  /// Parameters are f32 or f64; throws for another dtype.
  explicit ParameterStore(std::uint64_t seed = 0, DType dtype = DType::f32) : seed_(seed), dtype_(dtype) {
    expects(can_compute(dtype), "parameters: must be f32 or f64, got {}", dtype_name(dtype));
  }
  ParameterStore(const ParameterStore&) = delete;
  ParameterStore& operator=(const ParameterStore&) = delete;

  Scope root();
  std::uint64_t seed() const { return seed_; }
  DType dtype() const { return dtype_; }

  auto begin() const { return list_.begin(); }
  auto end() const { return list_.end(); }
  std::size_t size() const { return list_.size(); }
  /// Number of trainable values.
  Index trainable_values() const;
  /// The parameter at `path` or tied to it, or an empty handle.
  Parameter find(std::string_view path) const;
  /// `find`, but throws with the nearest path when there is none.
  Parameter at(std::string_view path) const;

  /// Excludes from training (or includes again) every parameter of which a path matches; `*` stands for any
  /// characters. Throws when none does. Gradients of frozen parameters are not computed.
  void freeze(std::string_view pattern) { set_frozen(pattern, true); }
  void unfreeze(std::string_view pattern) { set_frozen(pattern, false); }
  /// Exchanges all values with a store of the same paths and shapes, e.g. one of averaged weights.
  void swap(ParameterStore& other);

  /// A parameter by path, initialised; throws when the path exists. Scope calls it.
  Parameter create(std::string path, Shape shape, const Initializer& init, bool buffer);

  /// Makes `path` another name of a parameter of this store: the state dict holds its values once and knows
  /// both names. Throws when `path` exists, as a parameter or a tie, and when the parameter is not of this
  /// store.
  void tie(std::string path, const Parameter& parameter);
  /// All ties, in the order they were made.
  const std::vector<Tie>& ties() const { return ties_; }

 private:
  void set_frozen(std::string_view pattern, bool frozen);
  void check_new(std::string_view path) const;

  std::uint64_t seed_;
  DType dtype_;
  std::vector<Parameter> list_;
  std::vector<Tie> ties_;
  std::unordered_map<std::string, Parameter> by_path_;  ///< ties too
};

/// A place in the model tree, handed to a layer's constructor: `Linear(scope / "linear1", …)`.
class Scope {
 public:
  Scope(ParameterStore& store, std::string path) : store_(&store), path_(std::move(path)) {}

  Scope operator/(std::string_view child) const;
  Scope operator/(Index child) const;
  /// A trainable parameter `path.name`. Throws when that path was created before.
  Parameter parameter(std::string_view name, Shape shape, const Initializer& init) const;
  /// A saved value that is not trained.
  Parameter buffer(std::string_view name, Shape shape, const Initializer& init) const;
  /// Says that `path.name` is another name of `parameter`, which it returns. Throws as ParameterStore::tie.
  Parameter tie(std::string_view name, const Parameter& parameter) const;
  const std::string& path() const { return path_; }
  ParameterStore& store() const { return *store_; }

 private:
  ParameterStore* store_;
  std::string path_;
};

/// `encoder.*.weight` matches `encoder.layers.0.norm1.weight`: `*` stands for any characters, dots included.
bool path_matches(std::string_view pattern, std::string_view path);

/// The candidate with the smallest edit distance to `name`, or an empty string when none is near.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace tapegrad
