#include "heads.h"

#include "../reshape.h"
#include "../transpose.h"

namespace tapegrad {

Projections in_projection(const QueryKeyValue<Var>& x, const QueryKeyValue<RowView>& w,
                          const QueryKeyValue<RowView>& b, bool together) {
  const bool key_value = together && !x.query.tape("attention").options().show_parts &&
                         same_value(x.key, x.value) && w.key.precedes(w.value) && b.key.precedes(b.value);
  const Index q = w.query.count(), k = w.key.count(), v = w.value.count();
  if (key_value && same_value(x.query, x.key) && w.query.precedes(w.key) && b.query.precedes(b.key)) {
    const Var all = linear(x.query, w.query.up_to(w.value), b.query.up_to(b.value));  // [batch, time, q+k+v]
    return {columns(all, 0, q), columns(all, q, k), columns(all, q + k, v)};
  }
  const Var query = linear(x.query, w.query, b.query);
  if (key_value) {
    const Var both = linear(x.key, w.key.up_to(w.value), b.key.up_to(b.value));  // [batch, time, k+v]
    return {query, columns(both, 0, k), columns(both, k, v)};
  }
  const Var key = linear(x.key, w.key, b.key);
  return {query, key, linear(x.value, w.value, b.value)};
}

Var split_heads(const Var& x, Index heads) {
  const Shape s = x.shape();
  expects(s.rank() == 2 || s.rank() == 3,
          "attention: {} heads packed in a value of shape {}; it must be "
          "[batch, time, heads * dim], or without batch",
          heads, s);
  expects(heads > 0 && s[-1] % heads == 0, "attention: {} heads do not divide the last axis of {}", heads, s);
  return transpose(reshape(x, {s.rank() == 3 ? s[0] : 1, s[-2], heads, s[-1] / heads}), 1, 2);
}

Heads split_heads(const Projections& x, Index heads) {
  if (!x.query.of.tape("attention").options().show_parts) return {x, PackedHeads{heads}};
  const Var q = split_heads(x.query.value(), heads), k = split_heads(x.key.value(), heads),
            v = split_heads(x.value.value(), heads);
  return {{q, k, v}, HeadAxis{}};
}

Var merge_heads(const Var& x, int rank) {
  const Shape s = x.shape();
  const Var merged = transpose(x, 1, 2);
  return rank == 2 ? reshape(merged, {s[2], s[1] * s[3]}) : reshape(merged, {s[0], s[2], s[1] * s[3]});
}

}  // namespace tapegrad
