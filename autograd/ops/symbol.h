/// The printed form of an equation. A rule written as a generic function computes with numbers, is recorded
/// with Vars, and run with Symbols gives its own text: `dy * (1 - square(y))` is "dy (1 - y^2)".
#pragma once
#include <string>

namespace tapegrad {

/// An expression as text. The functions are those of elementwise rules; `==` is false, since a text shows the
/// general case.
class Symbol {
 public:
  /// A variable.
  explicit Symbol(const char* name);
  /// A number, to six digits.
  Symbol(double number);
  /// `name x` or, where x is not a single name, `name(x)`.
  static Symbol application(const char* name, const Symbol& x);

  /// The expression, and behind it the meaning of the names that `named` gave: "x s, s = sigmoid(x)".
  std::string text() const { return expression() + meanings_; }

  friend Symbol operator+(const Symbol& a, const Symbol& b);
  friend Symbol operator-(const Symbol& a, const Symbol& b);
  friend Symbol operator*(const Symbol& a, const Symbol& b);
  friend Symbol operator/(const Symbol& a, const Symbol& b);
  friend Symbol operator-(const Symbol& a);
  friend Symbol operator>(const Symbol& a, const Symbol& b);
  friend Symbol operator>=(const Symbol& a, const Symbol& b);
  friend Symbol operator<(const Symbol& a, const Symbol& b);
  friend Symbol operator<=(const Symbol& a, const Symbol& b);
  friend bool operator==(const Symbol&, const Symbol&) { return false; }

  friend Symbol pow(const Symbol& x, const Symbol& exponent);
  friend Symbol square(const Symbol& x);
  friend Symbol affine(const Symbol& x, double scale, double shift) { return scale * x + shift; }
  friend Symbol exp(const Symbol& x);
  friend Symbol log(const Symbol& x) { return application("ln", x); }
  friend Symbol log1p(const Symbol& x) { return log(1 + x); }
  friend Symbol expm1(const Symbol& x) { return exp(x) - 1; }
  friend Symbol sin(const Symbol& x) { return application("sin", x); }
  friend Symbol cos(const Symbol& x) { return application("cos", x); }
  friend Symbol tanh(const Symbol& x) { return application("tanh", x); }
  friend Symbol abs(const Symbol& x) { return call("|", x, "|"); }
  friend Symbol sqrt(const Symbol& x) { return call("sqrt(", x, ")"); }
  friend Symbol erf(const Symbol& x) { return call("erf(", x, ")"); }
  friend Symbol sigmoid(const Symbol& x) { return call("sigmoid(", x, ")"); }
  friend Symbol normal_cdf(const Symbol& x) { return call("normal_cdf(", x, ")"); }
  friend Symbol max(const Symbol& a, const Symbol& b);
  friend Symbol min(const Symbol& a, const Symbol& b);
  /// "a where condition, else b".
  friend Symbol where(const Symbol& condition, const Symbol& a, const Symbol& b);
  /// `name`, with its meaning noted.
  friend Symbol named(const char* name, const Symbol& meaning);

 private:
  /// The kinds of terms, from the loosest, which needs parentheses in every other term, to the tightest.
  enum class Rank { choice, comparison, sum, quotient, application, product, power, atom };

  Symbol(std::string text, Rank rank, const Symbol& a, const Symbol& b);
  static Symbol call(const char* before, const Symbol& x, const char* after);
  static Symbol infix(const Symbol& a, const char* op, const Symbol& b, Rank rank, Rank left, Rank right);
  std::string expression() const;
  std::string inside(Rank least) const;  // in parentheses when its rank is below `least`

  std::string head_, factor_;  // the text; of a product, what stands before its last factor, and this
  int power_ = 1;              // of the last factor
  Rank rank_ = Rank::atom;
  bool negative_ = false;  // -x of a single x
  std::string meanings_;
  std::string condition_, chosen_, other_;  // of a choice
};

/// Gives a part of a formula its name where the formula is printed; the value is `meaning`.
template <class X>
const X& named(const char*, const X& meaning) {
  return meaning;
}

}  // namespace tapegrad
