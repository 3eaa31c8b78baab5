#include "symbol.h"

#include <fmt/format.h>

namespace tapegrad {

Symbol::Symbol(const char* name) : factor_(name) {}
Symbol::Symbol(double number) : factor_(fmt::format("{:.6g}", number)) {}

Symbol::Symbol(std::string text, Rank rank, const Symbol& a, const Symbol& b)
    : factor_(std::move(text)), rank_(rank), meanings_(a.meanings_) {
  if (meanings_.find(b.meanings_) == std::string::npos) meanings_ += b.meanings_;
}

std::string Symbol::expression() const {
  return power_ == 1 ? head_ + factor_ : fmt::format("{}{}^{}", head_, factor_, power_);
}

std::string Symbol::inside(Rank least) const {
  return rank_ < least ? fmt::format("({})", expression()) : expression();
}

Symbol Symbol::call(const char* before, const Symbol& x, const char* after) {
  return {before + x.expression() + after, Rank::atom, x, x};
}

Symbol Symbol::application(const char* name, const Symbol& x) {
  const bool single = x.rank_ == Rank::atom;
  return single ? Symbol(fmt::format("{} {}", name, x.expression()), Rank::application, x, x)
                : Symbol(fmt::format("{}({})", name, x.expression()), Rank::atom, x, x);
}

Symbol Symbol::infix(const Symbol& a, const char* op, const Symbol& b, Rank rank, Rank left, Rank right) {
  return {fmt::format("{} {} {}", a.inside(left), op, b.inside(right)), rank, a, b};
}

Symbol operator+(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, "+", b, sum, sum, sum);
}

Symbol operator-(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, "-", b, sum, sum, quotient);
}

Symbol operator/(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, "/", b, quotient, quotient, power);
}

/// Equal factors side by side become a power.
Symbol operator*(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  const bool in_parentheses = b.rank_ < application;
  const std::string factor = in_parentheses ? b.inside(application) : b.factor_;
  const std::string head = in_parentheses ? std::string() : b.head_;
  Symbol result("", product, a, b);
  result.power_ = in_parentheses ? 1 : b.power_;
  result.factor_ = factor;
  if (head.empty() && a.rank_ >= product && factor == a.factor_) {
    result.head_ = a.head_;
    result.power_ += a.power_;
  } else {
    result.head_ = fmt::format("{} {}", a.inside(product), head);
  }
  return result;
}

Symbol operator-(const Symbol& a) {
  using enum Symbol::Rank;
  Symbol result("-" + a.inside(quotient), sum, a, a);
  result.negative_ = a.rank_ == atom;
  return result;
}

Symbol operator>(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, ">", b, comparison, sum, sum);
}
Symbol operator>=(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, ">=", b, comparison, sum, sum);
}
Symbol operator<(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, "<", b, comparison, sum, sum);
}
Symbol operator<=(const Symbol& a, const Symbol& b) {
  using enum Symbol::Rank;
  return Symbol::infix(a, "<=", b, comparison, sum, sum);
}

Symbol pow(const Symbol& x, const Symbol& exponent) {
  using enum Symbol::Rank;
  return {fmt::format("{}^{}", x.inside(atom), exponent.inside(atom)), power, x, exponent};
}

Symbol square(const Symbol& x) {
  Symbol result(x.inside(Symbol::Rank::atom), Symbol::Rank::power, x, x);
  result.power_ = 2;
  return result;
}

Symbol exp(const Symbol& x) {
  using enum Symbol::Rank;
  return {fmt::format("e^{}", x.negative_ ? x.expression() : x.inside(atom)), power, x, x};
}

Symbol max(const Symbol& a, const Symbol& b) {
  return {fmt::format("max({}, {})", a.expression(), b.expression()), Symbol::Rank::atom, a, b};
}
Symbol min(const Symbol& a, const Symbol& b) {
  return {fmt::format("min({}, {})", a.expression(), b.expression()), Symbol::Rank::atom, a, b};
}

/// A choice of a choice with the other value of both is one with two conditions.
Symbol where(const Symbol& condition, const Symbol& a, const Symbol& b) {
  Symbol result("", Symbol::Rank::choice, a, b);
  const bool both = !a.condition_.empty() && a.other_ == b.expression();
  result.condition_ = condition.expression() + (both ? " and " + a.condition_ : "");
  result.chosen_ = both ? a.chosen_ : a.inside(Symbol::Rank::sum);
  result.other_ = b.expression();
  result.factor_ = fmt::format("{} where {}, else {}", result.chosen_, result.condition_, result.other_);
  return result;
}

Symbol named(const char* name, const Symbol& meaning) {
  Symbol result(name, Symbol::Rank::atom, meaning, meaning);
  result.meanings_ = fmt::format(", {} = {}", name, meaning.expression()) + meaning.meanings_;
  return result;
}

}  // namespace tapegrad
