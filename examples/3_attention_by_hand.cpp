// Attention over three tokens of width 2: every intermediate and every gradient, once by the formulas on
// paper (with Eigen) and once by the tape. `attention_by_hand page.html` also writes a page for the browser,
// which steps through both directions and explains every number of the head.
#include <cmath>

#include <tapegrad/autograd/inspect/explain/explanation.h>
#include <tapegrad/autograd/ops.h>

using namespace tapegrad;
using Matrix = RowMatrix<double>;

/// One softmax a row, by std::exp.
Matrix softmax_rows(const Matrix& scores) {
  Matrix p = scores;
  for (Index i = 0; i < p.rows(); ++i) {
    const double largest = p.row(i).maxCoeff();
    p.row(i) = p.row(i).unaryExpr([largest](double s) { return std::exp(s - largest); }).eval();
    p.row(i) /= p.row(i).sum();
  }
  return p;
}

/// Prints both results side by side and keeps the largest difference.
struct Comparison {
  double largest = 0;
  int matrices = 0;

  void operator()(const char* name, const char* formula, const Matrix& hand, const Tensor& tape) {
    fmt::print("\n{:<5}= {}\n", name, formula);
    for (Index i = 0; i < hand.rows(); ++i) {
      for (Index j = 0; j < hand.cols(); ++j) fmt::print(" {:8.4f}", hand(i, j));
      fmt::print("{:{}}|", "", 4 + 9 * (3 - hand.cols()));
      for (Index j = 0; j < hand.cols(); ++j) fmt::print(" {:8.4f}", tape.at({i, j}));
      fmt::print("\n");
    }
    largest = std::max(largest, (hand - tape.matrix<double>()).cwiseAbs().maxCoeff());
    ++matrices;
  }
};

int main(int argc, char** argv) {
  // Three tokens (the third is the sum of the others), and the weights W_Q, W_K, W_V.
  Matrix X(3, 2), Wq(2, 2), Wk(2, 2), Wv(2, 2);
  X << 1, 0, 0, 1, 1, 1;
  Wq << 1, 0.5, -0.5, 1;
  Wk << 0.5, -1, 1, 0.5;
  Wv << 2, 0, -1, 1;
  const double root = std::sqrt(2.0);  // of the key width

  // By hand, forward.
  const Matrix Q = X * Wq, K = X * Wk, V = X * Wv;
  const Matrix S = Q * K.transpose() / root, P = softmax_rows(S), O = P * V;
  const double L = 0.5 * O.squaredNorm();
  // By hand, backward: from the loss to the tokens, each line is the pullback of a line above. The lines from
  // dV to dK, with the reason of each, are in autograd/ops/attention/backward_equation.cpp, written in ops.
  const Matrix dO = O;
  const Matrix dV = P.transpose() * dO, dP = dO * V.transpose();
  const Matrix along = P.cwiseProduct(dP).rowwise().sum();
  const Matrix dS = P.cwiseProduct(dP - along.replicate(1, 3));
  const Matrix dQ = dS * K / root, dK = dS.transpose() * Q / root;
  const Matrix dWq = X.transpose() * dQ, dWk = X.transpose() * dK, dWv = X.transpose() * dV;
  const Matrix dX = dQ * Wq.transpose() + dK * Wk.transpose() + dV * Wv.transpose();

  // By the tape: only the forward is written down.
  Tape tape({.dtype = DType::f64});
  const auto variable = [&](const Matrix& m) { return tape.variable(Tensor::from(m)); };
  const Var x = variable(X), wq = variable(Wq), wk = variable(Wk), wv = variable(Wv);
  const Var q = matmul(x, wq), k = matmul(x, wk), v = matmul(x, wv);
  const Var s = matmul(q, k, {.transpose_b = true}) / root, p = softmax(s), o = matmul(p, v);
  const Var loss = 0.5 * sum(square(o));
  const Gradients g = tape.backward(loss);

  fmt::print("by hand                          |  by the tape\n\nFORWARD\n");
  Comparison show;
  show("Q", "X W_Q                        queries", Q, q.value());
  show("K", "X W_K                        keys", K, k.value());
  show("V", "X W_V                        values", V, v.value());
  show("S", "Q K' / sqrt(2)               scores: how well key j fits query i", S, s.value());
  show("P", "softmax of each row of S     weights: every row sums to 1", P, p.value());
  show("O", "P V                          each row a mix of the values", O, o.value());
  fmt::print("\nL  = half the sum of squares of O = {:.6f} by hand, {:.6f} by the tape\n", L, loss.item());

  fmt::print("\nBACKWARD (dO is the gradient of L with respect to O, and so on)\n");
  show("dO", "O", dO, g[o]);
  show("dV", "P' dO", dV, g[v]);
  show("dP", "dO V'", dP, g[p]);
  show("dS", "P * (dP - row sums of P * dP)    (* by elements; every row sums to 0)", dS, g[s]);
  show("dQ", "dS K / sqrt(2)", dQ, g[q]);
  show("dK", "dS' Q / sqrt(2)", dK, g[k]);
  show("dW_Q", "X' dQ", dWq, g[wq]);
  show("dW_K", "X' dK", dWk, g[wk]);
  show("dW_V", "X' dV", dWv, g[wv]);
  show("dX", "dQ W_Q' + dK W_K' + dV W_V'      (X was used three times: parts add up)", dX, g[x]);

  if (argc > 1) {
    const std::pair<const char*, Var> named[] = {{"X", x}, {"W_Q", wq}, {"W_K", wk}, {"W_V", wv},
                                                 {"Q", q}, {"K", k},    {"V", v},    {"S", s},
                                                 {"P", p}, {"O", o},    {"L", loss}};
    for (const auto& [name, value] : named)
      tape.observers().add({name, value});  // the page shows these names
    write_html(explain(loss, {.title = "attention over three tokens", .source = {"sun", "day", "sunday"}}),
               argv[1]);
    fmt::print("\nevery step as a page for the browser: {}\n", argv[1]);
  }

  // The fused op does scores, softmax and mix in one kernel.
  Tape fused({.dtype = DType::f64});
  const Var token = fused.variable(Tensor::from(X));
  const auto times = [&](const Matrix& w) { return matmul(token, fused.constant(Tensor::from(w))); };
  const Var context = attention(times(Wq), times(Wk), times(Wv));
  const Gradients again = fused.backward(0.5 * sum(square(context)));
  const double context_off = (context.value().matrix<double>() - O).cwiseAbs().maxCoeff();
  const double gradient_off = (again[token].matrix<double>() - dX).cwiseAbs().maxCoeff();
  fmt::print("\nlargest difference over {} matrices: {:.1e}\n", show.matrices, show.largest);
  fmt::print("attention(Q, K, V), one fused op: O differs by {:.1e}, dX by {:.1e}\n", context_off,
             gradient_off);
  return std::max({show.largest, context_off, gradient_off}) < 1e-12 ? 0 : 1;
}
