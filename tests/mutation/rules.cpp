#include <mutation/rules.h>

#include <tapegrad/autograd/ops.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <vector>

namespace mutation {

using namespace tapegrad;

int active = -1;
unsigned char* seen = nullptr;

namespace {

/// The form that is alive, or -1. Numbers that make no mutant here are never alive.
int chosen(int first) {
  int found = -1;
  for (int i = 0; i <= static_cast<int>(Whole::swapped); ++i)
    if (on(first + i)) found = i;
  return found;
}

Var changed(const Var& g, Whole how) {
  switch (how) {
    case Whole::negated:
      return -g;
    case Whole::doubled:
      return 2 * g;
    case Whole::halved:
      return 0.5 * g;
    case Whole::zeroed:
      return 0 * g;
    case Whole::reversed:
      return reshape(flip(reshape(g, {g.size()}), 0), g.shape());
    default:
      return g;
  }
}

template <class T>
void combine(Whole how, T* sum, const T* before, Index n) {
  if (how == Whole::reversed) std::reverse(sum, sum + n);
  const T factor = how == Whole::negated   ? T(-1)
                   : how == Whole::doubled ? T(2)
                   : how == Whole::halved  ? T(0.5)
                   : how == Whole::zeroed  ? T(0)
                                           : T(1);
  for (Index i = 0; i < n; ++i) sum[i] = (how == Whole::overwritten ? T(0) : before[i]) + factor * sum[i];
}

/// Zeros where the accumulator holds nothing.
void clear(const TensorView& accumulator, Range part) {
  dispatch(accumulator.dtype, [&](auto zero) {
    auto* begin = accumulator.data<decltype(zero)>();
    std::fill(begin + part.begin, begin + std::min(part.end, accumulator.size()), zero);
  });
}

}  // namespace

VarList results(int first, const PullbackArgs& args,
                const std::function<VarList(const PullbackArgs&)>& rule) {
  const int form = chosen(first);
  if (form < 0) return rule(args);
  const auto how = static_cast<Whole>(form);
  PullbackArgs given = args;
  std::vector<Var> ones;
  if (how == Whole::ones) {
    for (const Var& c : args.cotangents) ones.push_back(c ? c.tape().full(c.shape(), 1) : c);
    given.cotangents = ones;
  }
  VarList gradients = rule(given);
  if (how == Whole::swapped && gradients.size() > 1) std::swap(gradients[0], gradients[1]);
  for (Var& g : gradients)
    if (g) g = changed(g, how);
  return gradients;
}

void raw(int first, const Op& op, const BackwardArgs& args,
         const std::function<void(const BackwardArgs&)>& rule) {
  const int form = chosen(first);
  if (form < 0) return rule(args);
  const auto how = static_cast<Whole>(form);
  std::map<void*, std::vector<std::byte>> before;  // by accumulator; two inputs may share one
  for (std::size_t i = 0; i < args.dinputs.size(); ++i) {
    const CotangentView& d = args.dinputs[i];
    if (!d || before.contains(d.bytes)) continue;
    if (args.uninitialized[i]) clear(d, op.writable_range(i, args.inputs, args.outputs));
    const std::byte* bytes = d.data<std::byte>();
    before[d.bytes].assign(bytes, bytes + d.byte_count());
    std::memset(d.bytes, 0, d.byte_count());
  }
  BackwardArgs given = args;
  std::vector<CotangentView> swapped, cotangents;
  std::vector<std::vector<std::byte>> ones;
  if (how == Whole::swapped && args.dinputs.size() > 1 && args.dinputs[0].shape == args.dinputs[1].shape) {
    for (const CotangentView& d : args.dinputs) swapped.push_back(d);
    std::swap(swapped[0].bytes, swapped[1].bytes);
    given.dinputs = swapped;
  }
  if (how == Whole::ones) {
    for (const CotangentView& c : args.doutputs) {
      cotangents.push_back(c);
      if (!c) continue;
      ones.emplace_back(c.byte_count());
      cotangents.back().bytes = ones.back().data();
      dispatch(c.dtype, [&](auto zero) {
        using T = decltype(zero);
        std::fill_n(cotangents.back().data<T>(), c.size(), T(1));
      });
    }
    given.doutputs = cotangents;
  }
  rule(given);
  for (const CotangentView& d : args.dinputs) {
    if (!d || !before.contains(d.bytes)) continue;
    dispatch(d.dtype, [&](auto zero) {
      using T = decltype(zero);
      combine(how, d.data<T>(), reinterpret_cast<const T*>(before[d.bytes].data()), d.size());
    });
    before.erase(d.bytes);
  }
}

Var unsummed(const Var& x, const Shape& shape) {
  Var first = x;
  while (first.rank() > shape.rank()) first = select(first, 0, 0);
  for (int axis = 0; axis < shape.rank(); ++axis)
    if (first.shape()[axis] != shape[axis]) first = slice(first, axis, 0, shape[axis]);
  return first;
}

}  // namespace mutation
