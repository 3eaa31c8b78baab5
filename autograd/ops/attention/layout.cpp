#include "layout.h"

#include "../slice.h"

namespace tapegrad {

ColumnView::ColumnView(const Var& x) : of(x) {
  if (!x) return;
  x.tape("attention");
  width = x.rank() > 0 ? x.shape()[-1] : 0;
}

ColumnView::ColumnView(const Var& x, Index first, Index number) : of(x), begin(first), width(number) {
  x.tape("columns");
  const Shape& shape = x.shape();
  expects(shape.rank() > 0, "columns: a value of shape {} has no columns", shape);
  expects(width >= 0 && begin >= 0 && begin <= shape[-1] && width <= shape[-1] - begin,
          "columns: {} columns from column {} on are out of range for {}, which has {}", width, begin, shape,
          shape[-1]);
}

bool ColumnView::whole() const { return of.rank() == 0 || width == of.shape()[-1]; }

Shape ColumnView::shape() const { return whole() ? of.shape() : of.shape().with_tail(1, {width}); }

Var ColumnView::value() const { return whole() ? of : slice(of, -1, begin, width); }

}  // namespace tapegrad
