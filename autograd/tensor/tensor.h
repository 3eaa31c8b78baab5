/// Tensors: dense row-major arrays whose rank and dtype are run-time properties.
#pragma once
#include <Eigen/Core>

#include <concepts>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "../memory/lifetime.h"
#include "dtype.h"
#include "shape.h"

namespace tapegrad {

template <class T>
using RowMatrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
template <class T>
using MatrixMap = Eigen::Map<RowMatrix<T>>;
template <class T>
using ConstMatrixMap = Eigen::Map<const RowMatrix<T>>;
template <class T>
using ArrayMap = Eigen::Map<Eigen::Array<T, Eigen::Dynamic, 1>>;
template <class T>
using ConstArrayMap = Eigen::Map<const Eigen::Array<T, Eigen::Dynamic, 1>>;

/// A bare row-major array, not owned. Valid while its owner is; unchecked, so not for users.
template <class ShapeMember>
struct BasicView {
  void* bytes = nullptr;
  ShapeMember shape;
  DType dtype = DType::f32;

  Index size() const { return shape.size(); }
  std::size_t byte_count() const { return static_cast<std::size_t>(size()) * byte_size(dtype); }
  explicit operator bool() const { return bytes != nullptr; }

  template <class T>
  T* data() const {
    return static_cast<T*>(bytes);
  }
  template <class T>
  ArrayMap<T> array() const {
    return {data<T>(), size()};
  }
  template <class T>
  MatrixMap<T> matrix() const {
    return {data<T>(), shape.rows(), shape.cols()};
  }

  operator BasicView<Shape>() const requires std::is_reference_v<ShapeMember> {
    return {bytes, shape, dtype};
  }
};

/// The raw array that ops compute on.
using TensorView = BasicView<Shape>;
/// A cotangent of a value, whose shape it refers to: one is made for every use of every value, so it is
/// small.
using CotangentView = BasicView<const Shape&>;

/// Nested braces of numbers, of any rank: `{{1, 2}, {3, 4}}`.
class Nested {
 public:
  template <class T>
  requires std::is_arithmetic_v<T> Nested(T value) : value_(static_cast<double>(value)) {}
  Nested(std::initializer_list<Nested> items) : items_(items), leaf_(false) {}

  /// Throws when rows differ in length.
  Shape shape() const;
  void append_to(std::vector<double>& out) const;

 private:
  double value_ = 0;
  std::vector<Nested> items_;
  bool leaf_ = true;
};

/// A dense row-major array: a cheap handle. Tensors made by the user own their memory and copies share it;
/// `clone()` is an independent copy. Tensors handed out by a tape or by Gradients live in the tape's arena:
/// they are read-only, and any use after `reset()` or after the tape is gone throws. Raw pointers and Eigen
/// maps are valid as long as the owner, for arena-backed tensors until `reset()`. The wrong scalar in a view
/// throws.
class Tensor {
 public:
  Tensor() = default;
  /// Zeros.
  explicit Tensor(Shape shape, DType dtype = DType::f32);

  static Tensor zeros(Shape shape, DType dtype = DType::f32) { return Tensor(shape, dtype); }
  static Tensor full(Shape shape, double value, DType dtype = DType::f32);
  /// From nested braces: `Tensor::of({{1, 2}, {3, 4}})`. Throws when rows differ in length.
  static Tensor of(const Nested& values, DType dtype = DType::f32);
  /// Draws from the normal distribution N(0, 1): element i is `standard_normal(random_key(seed, 0, 0, 0), i)`
  /// (autograd/base/random.h), the same bits on every machine. Equal seeds give equal values.
  static Tensor randn(Shape shape, std::uint64_t seed = 0, DType dtype = DType::f32);
  /// Draws from the uniform distribution on [low, high): element i is
  /// low + (high - low) uniform01(random_key(seed, 0, 0, 0), i), rounded once to `dtype`.
  static Tensor uniform(Shape shape, double low = 0, double high = 1, std::uint64_t seed = 0,
                        DType dtype = DType::f32);
  /// Row-major elements; throws unless there are `shape.size()` of them.
  static Tensor from(const std::vector<double>& values, Shape shape, DType dtype = DType::f32);
  /// Indices, dtype i64: `Tensor::ids({{4, 7, 2}})`.
  static Tensor ids(const Nested& values) { return of(values, DType::i64); }
  static Tensor ids(const std::vector<Index>& values, Shape shape);
  /// From an Eigen matrix or vector expression of float or double: rank 2, or rank 1 for a compile-time
  /// vector.
  template <class Derived>
  static Tensor from(const Eigen::DenseBase<Derived>& expression);
  /// A read-only handle to memory owned by a tape or a backward pass. For the library's own use.
  static Tensor borrowed(const TensorView& view, const HandleId& handle);

  explicit operator bool() const { return view_.bytes != nullptr; }
  const Shape& shape() const { return view_.shape; }
  DType dtype() const { return view_.dtype; }
  int rank() const { return view_.shape.rank(); }
  Index size() const { return view_.size(); }

  /// Row-major elements; std::uint8_t for boolean and u8. Throws on the wrong scalar, on a stale handle and,
  /// where it would allow writing, on a read-only tensor.
  template <class T>
  const T* data() const& {
    return static_cast<const T*>(readable(dtype_of<T>()));
  }
  template <class T>
  T* data() & {
    return static_cast<T*>(writable(dtype_of<T>()));
  }
  /// All elements as one Eigen array.
  template <class T>
  ConstArrayMap<T> array() const& {
    return {data<T>(), size()};
  }
  template <class T>
  ArrayMap<T> array() & {
    return {data<T>(), size()};
  }
  /// The last axis as columns, all others as rows.
  template <class T>
  ConstMatrixMap<T> matrix() const& {
    return {data<T>(), shape().rows(), shape().cols()};
  }
  template <class T>
  MatrixMap<T> matrix() & {
    return {data<T>(), shape().rows(), shape().cols()};
  }

  /// The only element, whatever the dtype; throws unless there is exactly one.
  double item() const;
  /// One element as double; the index is checked.
  double at(std::initializer_list<Index> index) const;
  /// All elements as doubles, row-major.
  std::vector<double> to_vector() const;

  /// An owning, writable copy.
  Tensor clone() const;
  /// An owning copy in another dtype.
  Tensor to(DType dtype) const;
  /// A handle to the same memory that refuses to write. With the path of a parameter, the error that a write
  /// throws names that parameter and `Parameter::update`; the path must live as long as the program.
  Tensor read_only(const std::string* parameter = nullptr) const;
  /// Returns true when `other` is a handle to this memory, of this shape.
  bool shares(const Tensor& other) const {
    return view_.bytes == other.view_.bytes && owner_ == other.owner_ && shape() == other.shape() &&
           dtype() == other.dtype();
  }
  /// These elements under another shape of equal size; shares memory.
  Tensor reshaped(Shape shape) const;
  /// t[i] along the first axis, which is dropped (shares memory); -1 is the last.
  Tensor operator[](Index i) const;
  /// t[begin : end] along the first axis (shares memory): `t[{1, 3}]`, `t[{.begin = -2}]`.
  Tensor operator[](const IndexRange& range) const;
  void fill(double value);
  /// Arithmetic in place, as in NumPy: this tensor keeps its memory, shape and dtype, and `other`, a number
  /// or a Tensor, broadcasts to it. Needs `autograd/ops/arithmetic.h`, which has `+`, `-`, `*` and `/`.
  template <class Other>
  Tensor& operator+=(const Other& other) {
    return copy_from(*this + other), *this;
  }
  template <class Other>
  Tensor& operator-=(const Other& other) {
    return copy_from(*this - other), *this;
  }
  template <class Other>
  Tensor& operator*=(const Other& other) {
    return copy_from(*this * other), *this;
  }
  template <class Other>
  Tensor& operator/=(const Other& other) {
    return copy_from(*this / other), *this;
  }
  /// Copies the elements of a tensor of the same shape and dtype into this one.
  void copy_from(const Tensor& other);

  /// The unchecked view (after one check that the handle is not stale), for ops and kernels.
  TensorView view() const;

 private:
  void* readable(DType wanted) const;
  void* writable(DType wanted);
  void check_alive() const;

  TensorView view_;
  std::shared_ptr<void> owner_;
  HandleId id_;
  bool read_only_ = false;
  const std::string* parameter_ = nullptr;  // whose value this is, where it is read-only
};

/// True when shape, dtype and every byte agree.
bool identical(const Tensor& a, const Tensor& b);

/// Copies `from` into `to` element by element, converting the dtype; sizes must agree. To a floating type:
/// rounded once, to nearest even, from f64 and i64 too; beyond the largest value ±infinity. To an integer:
/// cut towards 0; throws when a number (NaN too) does not fit. To boolean: 1 unless 0.
void convert(const TensorView& from, const TensorView& to);

template <class Derived>
Tensor Tensor::from(const Eigen::DenseBase<Derived>& expression) {
  using T = typename Derived::Scalar;
  const Shape shape =
      Derived::IsVectorAtCompileTime ? Shape{expression.size()} : Shape{expression.rows(), expression.cols()};
  Tensor result(shape, dtype_of<T>());
  MatrixMap<T>(result.data<T>(), expression.rows(), expression.cols()) = expression.derived().matrix();
  return result;
}

}  // namespace tapegrad

/// Prints shape, dtype and values, long axes shortened: `[2, 2] f32 [[1, 2], [3, 4]]`.
template <>
struct fmt::formatter<tapegrad::Tensor> : fmt::formatter<std::string_view> {
  auto format(const tapegrad::Tensor& tensor, format_context& context) const -> format_context::iterator;
};
