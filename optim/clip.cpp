#include "clip.h"

#include <algorithm>
#include <cmath>
#include <type_traits>

#include "../autograd/kernels/elementwise.h"
#include "../autograd/memory/scratch.h"

namespace tapegrad::optim {
namespace {

/// A piece of a gradient, as a task for one thread; the pieces do not depend on the number of threads.
struct Piece {
  TensorView gradient;
  Index begin, size;
  template <class T>
  T* data() const {
    return gradient.data<T>() + begin;
  }
};

ScratchVector<Piece> pieces_of(std::span<const Gradients::Entry> entries) {
  constexpr Index most = 1 << 16;
  ScratchVector<Piece> pieces;
  for (const Gradients::Entry& entry : entries)
    for (Index begin = 0; begin < entry.gradient.size(); begin += most)
      pieces.push_back({entry.gradient, begin, std::min(most, entry.gradient.size() - begin)});
  return pieces;
}

/// Calls body(index of the piece, piece), on the threads of the step that made the gradients if there are
/// any.
template <class F>
void for_each_piece(const ScratchVector<Piece>& pieces, ThreadTeam* threads, F&& body) {
  constexpr Index worth = 1 << 18;  // fewer elements take less time than waking threads
  Index elements = 0;
  for (const Piece& piece : pieces) elements += piece.size;
  if (threads == nullptr || elements < worth)
    for (std::size_t i = 0; i < pieces.size(); ++i) body(i, pieces[i]);
  else
    threads->run(pieces.size(), [&](std::size_t, std::size_t i) { body(i, pieces[i]); });
}

double sum_of_squares(std::span<const Gradients::Entry> entries, ThreadTeam* threads) {
  const ScratchVector<Piece> pieces = pieces_of(entries);
  ScratchVector<double> squares(pieces.size());
  for_each_piece(pieces, threads, [&](std::size_t i, const Piece& piece) {
    dispatch(piece.gradient.dtype, [&]<class T>(T) {
      squares[i] = static_cast<double>(kernels::sum_squares(piece.data<T>(), piece.size));
    });
  });
  double sum = 0;
  for (const double part : squares) sum += part;
  return sum;
}

template <class F>
void for_each_value(std::span<const Gradients::Entry> entries, F&& body) {
  for (const Gradients::Entry& entry : entries)
    dispatch(entry.gradient.dtype, [&](auto zero) {
      auto* g = entry.gradient.data<decltype(zero)>();
      for (Index i = 0; i < entry.gradient.size(); ++i) body(g[i]);
    });
}

}  // namespace

double grad_norm(const Gradients& gradients, double norm_type) {
  const auto entries = gradients.parameters("grad_norm");
  if (norm_type == 2) return std::sqrt(sum_of_squares(entries, gradients.threads()));
  expects(norm_type == 1 || (std::isinf(norm_type) && norm_type > 0),
          "grad_norm: norm_type {} is none of 1, 2 and infinity", norm_type);
  double norm = 0;
  if (norm_type == 1)
    for_each_value(entries, [&](auto g) { norm += std::abs(static_cast<double>(g)); });
  else
    for_each_value(entries, [&](auto g) {
      const double size = std::abs(static_cast<double>(g));
      if (size > norm || std::isnan(size)) norm = size;  // comparisons with NaN are false, so NaN stays
    });
  return norm;
}

double clip_grad_norm(const Gradients& gradients, double max_norm, double norm_type) {
  expects(max_norm > 0, "clip_grad_norm: max_norm must be positive, got {}", max_norm);
  const double norm = grad_norm(gradients, norm_type);
  const double factor = max_norm / (norm + 1e-6);
  if (factor >= 1) return norm;
  for_each_piece(pieces_of(gradients.parameters("clip_grad_norm")), gradients.threads(),
                 [&](std::size_t, const Piece& piece) {
                   dispatch(piece.gradient.dtype, [&]<class T>(T) {
                     T* g = piece.data<T>();
                     kernels::scale(g, static_cast<T>(factor), g, piece.size);
                   });
                 });
  return norm;
}

void clip_grad_value(const Gradients& gradients, double most) {
  expects(most > 0, "clip_grad_value: the largest value must be positive, got {}", most);
  for_each_value(gradients.parameters("clip_grad_value"), [&](auto& g) {
    using T = std::remove_reference_t<decltype(g)>;
    g = std::clamp(g, static_cast<T>(-most), static_cast<T>(most));
  });
}

}  // namespace tapegrad::optim
