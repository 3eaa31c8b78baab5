#include "head_table.h"

#include <algorithm>

namespace tapegrad {
namespace {

using Names = std::vector<std::string>;

Names numbers(std::size_t count, std::size_t first = 0) {
  Names names;
  for (std::size_t i = first; i < first + count; ++i) names.push_back(fmt::format("{}", i));
  return names;
}

enum class Of { value, gradient };

/// Extracts the matrices of one head from a recording.
class HeadTableBuilder {
 public:
  HeadTableBuilder(const Explanation& what, const AttentionView& view, Index head)
      : tape_(what.tape), view_(view), head_(static_cast<std::size_t>(head)) {}

  bool has(const char* value) const { return view_.values.contains(value); }

  /// A matrix of this head; its columns are keys when `by_keys` is true.
  void of_head(const char* step, const char* name, const char* formula, const char* value, Of of,
               const Names& rows, bool by_keys = false) {
    const RecordedValue& v = tape_[view_.values.at(value)];
    const auto columns = static_cast<std::size_t>(v.shape.cols());
    take(step, name, formula, of == Of::value ? v.value : v.gradient, head_ * rows.size() * columns, rows,
         by_keys ? view_.columns : numbers(columns));
  }
  /// A matrix that all heads share.
  void whole(const char* step, const char* name, const char* formula, const char* value, Of of,
             const Names& rows) {
    const RecordedValue& v = tape_[view_.values.at(value)];
    take(step, name, formula, of == Of::value ? v.value : v.gradient, 0, rows,
         numbers(static_cast<std::size_t>(v.shape.cols())));
  }
  /// This head's outputs of the gradient of a projection: rows, or columns of a weight [in, out].
  void projection(const char* name, const char* formula, const char* own, std::size_t third) {
    const bool packed = !has(own);
    const RecordedValue& w = tape_[view_.values.at(packed ? "in_proj_weight" : own)];
    const auto dim = static_cast<std::size_t>(view_.head_dim),
               columns = static_cast<std::size_t>(w.shape.cols());
    const std::size_t first =
        (packed ? third * dim * static_cast<std::size_t>(view_.heads) : 0) + head_ * dim;
    if (!view_.in_by_out)
      return take("B9", name, formula, w.gradient, first * columns, numbers(dim, first), numbers(columns));
    if (w.gradient.empty()) return;
    HeadTable table{"B9", name, formula, numbers(w.gradient.size() / columns), numbers(dim, first), {}};
    for (std::size_t row = 0; row < table.rows.size(); ++row)
      for (std::size_t j = 0; j < dim; ++j) table.values.push_back(w.gradient[row * columns + first + j]);
    tables.push_back(std::move(table));
  }
  /// D_i, the weighted mean of a row of dP.
  void row_means() {
    const RecordedValue& p = tape_[view_.values.at("weights")];
    const std::size_t columns = view_.columns.size(), first = head_ * view_.rows.size() * columns;
    if (p.gradient.empty()) return;
    HeadTable table{"B4", "D", "D = sum(dP P)", view_.rows, {"D"}, {}};
    for (std::size_t i = 0; i < view_.rows.size(); ++i) {
      double sum = 0;
      for (std::size_t j = first + i * columns; j < first + (i + 1) * columns; ++j)
        sum += p.value[j] * p.gradient[j];
      table.values.push_back(sum);
    }
    tables.push_back(std::move(table));
  }

  std::vector<HeadTable> tables;

 private:
  void take(const char* step, const char* name, const char* formula, const std::vector<double>& all,
            std::size_t first, const Names& rows, const Names& columns) {
    const std::size_t size = rows.size() * columns.size();
    if (all.size() < first + size) return;  // no gradient flows here
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(first);
    tables.push_back(
        {step, name, formula, rows, columns, {begin, begin + static_cast<std::ptrdiff_t>(size)}});
  }

  const TapeRecord& tape_;
  const AttentionView& view_;
  const std::size_t head_;
};

}  // namespace

std::string path_of(const AttentionView& view) { return view.path.empty() ? "the run" : view.path; }

std::vector<HeadTable> head_tables(const Explanation& what, const AttentionView& view, Index head) {
  HeadTableBuilder t(what, view, head);
  const auto by = [&](const char* in_by_out, const char* out_by_in) {
    return view.in_by_out ? in_by_out : out_by_in;
  };
  t.of_head("F1", "Q", by("Q = X W_Q", "Q = X W_Q' + b_Q"), "query", Of::value, view.rows);
  t.of_head("F1", "K", by("K = X W_K", "K = X W_K' + b_K"), "key", Of::value, view.columns);
  t.of_head("F1", "V", by("V = X W_V", "V = X W_V' + b_V"), "value", Of::value, view.columns);
  t.of_head("F2", "S", "S = Q K' / sqrt(d)", "scores", Of::value, view.rows, true);
  t.of_head("F4", "P", "P = softmax(mask(S))", "weights", Of::value, view.rows, true);
  if (t.has("dropped"))
    t.of_head("F4", "dropped P", "P~ = dropout(P)", "dropped", Of::value, view.rows, true);
  t.of_head("F5", "O", t.has("dropped") ? "O = P~ V" : "O = P V", "context", Of::value, view.rows);
  const bool projected = t.has("output");
  if (projected)
    t.whole("F6", "Y", by("Y = concat(O) W_O", "Y = concat(O) W_O' + b_O"), "output", Of::value, view.rows);
  t.of_head("B1", "dO", !projected ? "dO = dloss / dO" : by("dO = dY W_O'", "dO = dY W_O"), "context",
            Of::gradient, view.rows);
  t.of_head("B2", "dV", t.has("dropped") ? "dV = P~' dO" : "dV = P' dO", "value", Of::gradient, view.columns);
  t.of_head("B3", "dP", "dP = dO V'", "weights", Of::gradient, view.rows, true);
  t.row_means();
  t.of_head("B5", "dS", "dS = P (dP - D)", "scores", Of::gradient, view.rows, true);
  t.of_head("B6", "dQ", "dQ = dS K / sqrt(d)", "query", Of::gradient, view.rows);
  t.of_head("B7", "dK", "dK = dS' Q / sqrt(d)", "key", Of::gradient, view.columns);
  const bool cross = view.values.at("x_query") != view.values.at("x_key");
  t.whole("B8", cross ? "dX_Q" : "dX",
          by("dX = dQ W_Q' + dK W_K' + dV W_V', of every use", "dX = dQ W_Q + dK W_K + dV W_V + skip"),
          "x_query", Of::gradient, view.rows);
  if (cross)
    t.whole("B8", "dX_KV", by("dX = dK W_K' + dV W_V', of every use", "dX = dK W_K + dV W_V, of every use"),
            "x_key", Of::gradient, view.columns);
  t.projection("dW_Q", by("dW_Q = X' dQ", "dW_Q = dQ' X"), "q_proj_weight", 0);
  t.projection("dW_K", by("dW_K = X' dK", "dW_K = dK' X"), "k_proj_weight", 1);
  t.projection("dW_V", by("dW_V = X' dV", "dW_V = dV' X"), "v_proj_weight", 2);
  return t.tables;
}

}  // namespace tapegrad
