#include "tensor.h"

#include <algorithm>
#include <cstring>
#include <new>
#include <string>

#include "../base/random.h"
#include "scalar.h"

namespace tapegrad {
namespace {

std::shared_ptr<void> allocate(std::size_t bytes) {
  constexpr std::align_val_t alignment{64};
  void* p = ::operator new(std::max<std::size_t>(bytes, 1), alignment);
  return {p, [=](void* q) { ::operator delete(q, alignment); }};
}

double element(const TensorView& view, Index i) {
  return with_storage(view.dtype, [&](auto kind) {
    return convert_scalar<DType::f64>(view.data<typename decltype(kind)::Scalar>()[i]);
  });
}

std::string print(const TensorView& view, int axis, Index offset, Index stride) {
  if (axis == view.shape.rank()) return fmt::format("{:.6g}", element(view, offset));
  constexpr Index shown = 8;  // at each end of a long axis
  const Index extent = view.shape[axis];
  std::string text = "[";
  stride = extent == 0 ? 0 : stride / extent;
  for (Index i = 0; i < extent; ++i) {
    if (extent > 2 * shown && i == shown) {
      text += ", …";
      i = extent - shown;
    }
    if (i > 0) text += ", ";
    text += print(view, axis + 1, offset + i * stride, stride);
  }
  return text + "]";
}

template <class F>
Tensor drawn(Shape shape, DType dtype, F value_of) {
  expects(is_floating(dtype), "tensor: random values need a floating dtype, got {}", dtype_name(dtype));
  Tensor result(shape, dtype);
  with_storage(dtype, [&](auto kind) {
    auto* data = result.data<typename decltype(kind)::Scalar>();
    for (Index i = 0; i < result.size(); ++i)
      data[i] = convert_scalar<decltype(kind)::dtype>(value_of(static_cast<std::uint64_t>(i)));
  });
  return result;
}

}  // namespace

Shape Nested::shape() const {
  if (leaf_) return {};
  if (items_.empty()) return {0};
  const Shape first = items_[0].shape();
  for (const Nested& item : items_)
    expects(item.shape() == first, "tensor: nested braces of unequal shapes {} and {}", first, item.shape());
  return first.inserted(0, static_cast<Index>(items_.size()));
}

void Nested::append_to(std::vector<double>& out) const {
  if (leaf_) out.push_back(value_);
  for (const Nested& item : items_) item.append_to(out);
}

Tensor::Tensor(Shape shape, DType dtype) {
  view_ = {nullptr, shape, dtype};
  const std::size_t bytes = view_.byte_count();
  owner_ = allocate(bytes);
  view_.bytes = owner_.get();
  std::memset(view_.bytes, 0, bytes);
}

Tensor Tensor::full(Shape shape, double value, DType dtype) {
  Tensor result(shape, dtype);
  result.fill(value);
  return result;
}

Tensor Tensor::randn(Shape shape, std::uint64_t seed, DType dtype) {
  return drawn(shape, dtype,
               [key = random_key(seed, 0, 0, 0)](std::uint64_t i) { return standard_normal(key, i); });
}

Tensor Tensor::uniform(Shape shape, double low, double high, std::uint64_t seed, DType dtype) {
  expects(low <= high, "uniform: low {} is above high {}", low, high);
  return drawn(shape, dtype, [=, key = random_key(seed, 0, 0, 0)](std::uint64_t i) {
    return low + (high - low) * uniform01(key, i);
  });
}

Tensor Tensor::of(const Nested& values, DType dtype) {
  std::vector<double> flat;
  values.append_to(flat);
  return from(flat, values.shape(), dtype);
}

Tensor Tensor::from(const std::vector<double>& values, Shape shape, DType dtype) {
  expects(static_cast<Index>(values.size()) == shape.size(), "tensor: {} values do not fill shape {}",
          values.size(), shape);
  Tensor result(shape, dtype);
  with_storage(dtype, [&](auto kind) {
    std::transform(values.begin(), values.end(), result.data<typename decltype(kind)::Scalar>(),
                   [](double v) { return convert_scalar<decltype(kind)::dtype>(v); });
  });
  return result;
}

Tensor Tensor::ids(const std::vector<Index>& values, Shape shape) {
  expects(static_cast<Index>(values.size()) == shape.size(), "tensor: {} values do not fill shape {}",
          values.size(), shape);
  Tensor result(shape, DType::i64);
  std::copy(values.begin(), values.end(), result.data<Index>());
  return result;
}

Tensor Tensor::borrowed(const TensorView& view, const HandleId& handle) {
  Tensor result;
  result.view_ = view;
  result.id_ = handle;
  result.read_only_ = true;
  return result;
}

void Tensor::check_alive() const {
  if (id_.slot == nullptr) return;
  if (id_.alive()) {
    id_.check_readable("tensor");
    return;
  }
  id_.check_not_consumed("tensor");
  throw Error(
      id_.slot->tape == nullptr && id_.slot->live_pass == 0
          ? fmt::format("tensor: the tape that owned this {} tensor is gone; clone() it to keep the values",
                        shape())
          : fmt::format(
                "tensor: this {} tensor is stale, its tape was reset since; clone() it to keep the values",
                shape()));
}

void* Tensor::readable(DType wanted) const {
  expects(view_.bytes != nullptr, "tensor: an empty tensor has no values");
  const bool bytes = wanted == DType::boolean && dtype() == DType::u8;
  expects(wanted == dtype() || bytes, "tensor: a {} view of a {} tensor of shape {}", dtype_name(wanted),
          dtype_name(dtype()), shape());
  check_alive();
  return view_.bytes;
}

void* Tensor::writable(DType wanted) {
  expects(!read_only_ || id_.slot == nullptr,
          "tensor: recorded values are read-only; write to a clone() of this {} tensor", shape());
  if (read_only_ && parameter_ != nullptr)
    throw Error(
        fmt::format("parameter '{}': value() is read-only; use update([](Tensor& t) {{ t.fill(0); }}), "
                    "or write to a clone() of this {} tensor",
                    *parameter_, shape()));
  expects(!read_only_, "tensor: this {} tensor is read-only; write to a clone() of it", shape());
  return readable(wanted);
}

TensorView Tensor::view() const {
  expects(view_.bytes != nullptr, "tensor: an empty tensor has no values");
  check_alive();
  return view_;
}

double Tensor::item() const {
  expects(size() == 1, "item: the tensor must have one element, got shape {}", shape());
  return element(view(), 0);
}

double Tensor::at(std::initializer_list<Index> index) const {
  expects(static_cast<int>(index.size()) == rank(), "at: {} indices for shape {}", index.size(), shape());
  Index offset = 0;
  int axis = 0;
  for (Index i : index) {
    expects(i >= 0 && i < shape()[axis], "at: index {} of axis {} is out of range for shape {}", i, axis,
            shape());
    offset = offset * shape()[axis++] + i;
  }
  return element(view(), offset);
}

std::vector<double> Tensor::to_vector() const {
  const TensorView source = view();
  std::vector<double> values(static_cast<std::size_t>(size()));
  for (Index i = 0; i < size(); ++i) values[static_cast<std::size_t>(i)] = element(source, i);
  return values;
}

Tensor Tensor::clone() const {
  const TensorView source = view();
  Tensor result(shape(), dtype());
  std::memcpy(result.view_.bytes, source.bytes, source.byte_count());
  return result;
}

Tensor Tensor::to(DType dtype) const {
  const TensorView source = view();
  Tensor result(shape(), dtype);
  convert(source, result.view_);
  return result;
}

Tensor Tensor::read_only(const std::string* parameter) const {
  Tensor result = *this;
  result.read_only_ = true;
  result.parameter_ = parameter;
  return result;
}

Tensor Tensor::reshaped(Shape shape) const {
  expects(shape.size() == size(), "reshaped: shape {} with {} elements cannot become {} with {}",
          this->shape(), size(), shape, shape.size());
  Tensor result = *this;
  result.view_.shape = shape;
  return result;
}

Tensor Tensor::operator[](Index i) const {
  expects(rank() > 0, "tensor: a scalar has no axis to take an element of");
  const Index at = checked_index("tensor", i, 0, shape());
  Tensor result = (*this)[IndexRange{at, at + 1}];
  result.view_.shape = shape().without(0);
  return result;
}

Tensor Tensor::operator[](const IndexRange& range) const {
  expects(rank() > 0, "tensor: a scalar has no axis to cut");
  const IndexRange at = checked_range("tensor", range, 0, shape());
  Tensor result = *this;
  result.view_.shape[0] = *at.end - at.begin;
  const auto rest = static_cast<std::size_t>(shape().without(0).size()) * byte_size(dtype());
  result.view_.bytes = static_cast<std::byte*>(view().bytes) + static_cast<std::size_t>(at.begin) * rest;
  return result;
}

void Tensor::fill(double value) {
  with_storage(dtype(), [&](auto kind) {
    std::fill_n(data<typename decltype(kind)::Scalar>(), size(),
                convert_scalar<decltype(kind)::dtype>(value));
  });
}

void Tensor::copy_from(const Tensor& other) {
  expects(other.shape() == shape() && other.dtype() == dtype(),
          "copy_from: a {} tensor of shape {} into a {} tensor of shape {}", dtype_name(other.dtype()),
          other.shape(), dtype_name(dtype()), shape());
  std::memcpy(writable(dtype()), other.view().bytes, view_.byte_count());
}

bool identical(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && a.dtype() == b.dtype() &&
         std::memcmp(a.view().bytes, b.view().bytes, a.view().byte_count()) == 0;
}

void convert(const TensorView& from, const TensorView& to) {
  with_storage(from.dtype, [&](auto source) {
    with_storage(to.dtype, [&](auto target) {
      const auto* values = from.data<typename decltype(source)::Scalar>();
      std::transform(values, values + from.size(), to.data<typename decltype(target)::Scalar>(),
                     [](auto v) { return convert_scalar<decltype(target)::dtype>(v); });
    });
  });
}

}  // namespace tapegrad

auto fmt::formatter<tapegrad::Tensor>::format(const tapegrad::Tensor& tensor, format_context& context) const
    -> format_context::iterator {
  if (!tensor) return formatter<std::string_view>::format("empty tensor", context);
  const tapegrad::TensorView view = tensor.view();
  return formatter<std::string_view>::format(
      fmt::format("{} {} {}", view.shape, dtype_name(view.dtype), tapegrad::print(view, 0, 0, view.size())),
      context);
}
