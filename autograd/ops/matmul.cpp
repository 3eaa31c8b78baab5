#include "matmul.h"

#include "../kernels/gemm/gemm.h"
#include "../tensor/broadcast.h"
#include "arithmetic.h"
#include "reshape.h"
#include "typed.h"

namespace tapegrad {
namespace {

/// An operand as matrices: a vector is one row (a) or one column (b).
struct Matrices {
  Shape batch;
  Index rows, cols;  // of op(X)
  Index ld;          // columns as stored
  bool transposed;

  Matrices(const Shape& shape, bool transpose, bool is_a) : transposed(transpose) {
    if (shape.rank() == 1) {
      rows = is_a ? 1 : shape[0];
      cols = is_a ? shape[0] : 1;
      ld = cols;
      return;
    }
    batch = shape.with_tail(2, {});
    rows = shape[transpose ? -1 : -2];
    cols = shape[transpose ? -2 : -1];
    ld = shape[-1];
  }
  Index matrix_size() const { return rows * cols; }
  Shape matrices() const {
    return transposed ? batch.with_tail(0, {cols, rows}) : batch.with_tail(0, {rows, cols});
  }
};

struct Matmul final : Typed<Matmul> {
  bool ta, tb;
  explicit Matmul(const MatmulOptions& options) : ta(options.transpose_a), tb(options.transpose_b) {}
  const char* name() const override { return "matmul"; }
  Formula formula() const override { return "C = op(A) op(B);  dop(A) = dC op(B)^T, dop(B) = op(A)^T dC"; }
  void attributes(Attributes& a) const override { put(a, "transpose_a", ta), put(a, "transpose_b", tb); }

  Shape shape(Views in, int) const override {
    const Shape &sa = in[0].shape, &sb = in[1].shape;
    check_rank("a", sa, ta);
    check_rank("b", sb, tb);
    const Matrices a(sa, ta, true), b(sb, tb, false);
    if (a.cols != b.rows)
      throw Error(fmt::format("matmul: a {}{} and b {}{} do not fit: a has {} columns, b has {} rows{}", sa,
                              ta ? " transposed" : "", sb, tb ? " transposed" : "", a.cols, b.rows,
                              hint(a, b, sa, sb)));
    Shape batch;
    expects(broadcast(a.batch, b.batch, batch),
            "matmul: leading axes {} of a {} and {} of b {} do not broadcast; extents must be equal or 1",
            a.batch, sa, b.batch, sb);
    if (sa.rank() > 1) batch = batch.with_tail(0, {a.rows});
    return sb.rank() > 1 ? batch.with_tail(0, {b.cols}) : batch;
  }

  template <class T>
  void kernel(Inputs<T> in, Outputs<T> out) const {
    const Matrices a(in.shape(), ta, true), b(in.shape(1), tb, false);
    const T *pa = in[0], *pb = in[1];
    T* pc = out[0];
    each_product(a, b, [&](Index a_at, Index b_at, Index c_at, Index m) {
      kernels::gemm(ta, tb, m, b.cols, a.cols, pa + a_at, a.ld, pb + b_at, b.ld, pc + c_at, b.cols);
    });
  }

  double flops(Views in, Views out) const override {
    return 2 * static_cast<double>(out[0].size()) * static_cast<double>(Matrices(in[0].shape, ta, true).cols);
  }
  /// A matrix that is repeated along the batch gathers several products.
  Range writable_range(std::size_t input, Views in, Views) const override {
    const Matrices a(in[0].shape, ta, true), b(in[1].shape, tb, false);
    Shape batch;
    broadcast(a.batch, b.batch, batch);
    return (input == 0 ? a : b).batch.size() == batch.size() ? everything : nothing;
  }
  template <class T>
  void backward_kernel(RawBackward<T> g) const {
    const Matrices a(g.x_shape(), ta, true), b(g.x_shape(1), tb, false);
    const T *pa = g.x(), *pb = g.x(1), *pdc = g.dy();
    T *pda = g.dx(), *pdb = g.dx(1);
    const Index n = b.cols, k = a.cols;
    each_product(a, b, [&](Index a_at, Index b_at, Index c_at, Index m) {
      const T *dc = pdc + c_at, *x = pa + a_at, *y = pb + b_at;
      const T* no_bias = nullptr;
      if (pda != nullptr && ta)
        kernels::gemm(tb, true, k, m, n, y, b.ld, dc, n, pda + a_at, a.ld, no_bias, !g.uninitialized());
      else if (pda != nullptr)
        kernels::gemm(false, !tb, m, k, n, dc, n, y, b.ld, pda + a_at, a.ld, no_bias, !g.uninitialized());
      if (pdb != nullptr && tb)
        kernels::gemm(true, ta, n, k, m, dc, n, x, a.ld, pdb + b_at, b.ld, no_bias, !g.uninitialized(1));
      else if (pdb != nullptr)
        kernels::gemm(!ta, false, k, n, m, x, a.ld, dc, n, pdb + b_at, b.ld, no_bias, !g.uninitialized(1));
    });
  }

  VarList pullback(const PullbackArgs& p) const override {
    const Shape &sa = p.inputs[0].shape(), &sb = p.inputs[1].shape();
    const Matrices a(sa, ta, true), b(sb, tb, false);
    Shape batch;
    broadcast(a.batch, b.batch, batch);
    const Var x = reshape(p.inputs[0], a.matrices()), y = reshape(p.inputs[1], b.matrices());
    const Var dc = reshape(p.cotangents[0], batch.with_tail(0, {a.rows, b.cols}));
    VarList result(2);
    if (p.needs[0]) {
      const Var da =
          ta ? matmul(y, dc, {.transpose_a = tb, .transpose_b = true}) : matmul(dc, y, {.transpose_b = !tb});
      result[0] = reshape(sum_to(da, x.shape()), sa);
    }
    if (p.needs[1]) {
      const Var db =
          tb ? matmul(dc, x, {.transpose_a = true, .transpose_b = ta}) : matmul(x, dc, {.transpose_a = !ta});
      result[1] = reshape(sum_to(db, y.shape()), sb);
    }
    return result;
  }

 private:
  /// body(a offset, b offset, c offset, rows) for each product of two matrices. Consecutive matrices of a
  /// that meet the same b are one taller matrix.
  template <class Body>
  static void each_product(const Matrices& a, const Matrices& b, const Body& body) {
    const Index a_size = a.matrix_size(), b_size = b.matrix_size(), c_size = a.rows * b.cols;
    Shape batch;
    broadcast(a.batch, b.batch, batch);
    for_each_run(batch, a.batch, b.batch,
                 [&](Index c_at, Index a_at, Index b_at, Index count, Index a_step, Index b_step) {
                   if (b_step == 0 && a_step == 1 && !a.transposed)
                     return body(a_at * a_size, b_at * b_size, c_at * c_size, a.rows * count);
                   for (Index i = 0; i < count; ++i)
                     body((a_at + i * a_step) * a_size, (b_at + i * b_step) * b_size, (c_at + i) * c_size,
                          a.rows);
                 });
  }

  static void check_rank(const char* which, const Shape& shape, bool transpose) {
    expects(shape.rank() > 0, "matmul: {} is a scalar; multiply by it with *", which);
    expects(shape.rank() > 1 || !transpose,
            "matmul: {} is a vector of shape {}, which has no transpose; leave out transpose_{}", which,
            shape, which);
  }

  std::string hint(const Matrices& a, const Matrices& b, const Shape& sa, const Shape& sb) const {
    if (sb.rank() > 1 && a.cols == b.cols) return fmt::format("; {{.transpose_b = {}}} would fit", !tb);
    if (sa.rank() > 1 && a.rows == b.rows) return fmt::format("; {{.transpose_a = {}}} would fit", !ta);
    return "; these two must be equal";
  }
};

}  // namespace

Var matmul(const Operand& a, const Operand& b, const MatmulOptions& options) {
  return apply(Matmul{options}, {a, b});
}

}  // namespace tapegrad
