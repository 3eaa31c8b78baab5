#include <tests/parity/case.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace tapegrad::test {
namespace {

const CaseFamily*& head() {
  static const CaseFamily* first = nullptr;
  return first;
}

}  // namespace

CaseFamily::CaseFamily(const char* family, Make maker) : name(family), make(maker), next(head()) {
  head() = this;
}

const CaseFamily* CaseFamily::first() { return head(); }

Tensor as_f32_values(const Tensor& x) { return x.to(DType::f32).to(DType::f64); }

Tensor drawn(std::uint64_t seed, std::string_view name, const Shape& shape, double low, double high) {
  std::uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  Tensor x(shape, DType::f64);
  for (Index i = 0; i < x.size(); ++i)
    x.data<double>()[i] =
        low + (high - low) * uniform01(random_key(seed, hash, 0, 0), static_cast<std::uint64_t>(i));
  return as_f32_values(x);
}

Tensor in_dtype(const Tensor& x, DType dtype) {
  return x.dtype() == DType::f32 || x.dtype() == DType::f64 ? x.to(dtype) : x;
}

bool is_result(std::string_view name) {
  return name.starts_with("out.") || name.starts_with("grad.") || name.starts_with("after.");
}

double error_of_case(const Tensors& actual, const Tensor& expected) {
  struct Kind {
    double difference = 0, largest = 0.1;
  };
  std::map<std::string, Kind> kinds;
  const std::vector<double> wanted = expected.to_vector();
  std::size_t at = 0;
  for (const auto& [name, tensor] : actual) {
    if (!is_result(name)) continue;
    Kind& kind = kinds[name.substr(0, name.find('.'))];
    for (const double value : tensor.to_vector()) {
      expects(at < wanted.size(), "the case has more than the {} result values that are expected", at);
      const double want = wanted[at++];
      if (std::isfinite(want)) kind.largest = std::max(kind.largest, std::abs(want));
      const double d = value == want ? 0 : std::abs(value - want);  // equal infinities too
      kind.difference =
          std::isnan(d) ? std::numeric_limits<double>::infinity() : std::max(kind.difference, d);
    }
  }
  expects(at == wanted.size(), "the case has {} result values, {} are expected", at, wanted.size());
  double error = 0;
  for (const auto& [name, kind] : kinds) error = std::max(error, kind.difference / kind.largest);
  return error;
}

}  // namespace tapegrad::test
