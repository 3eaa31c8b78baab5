#include "cotangents.h"

namespace tapegrad {

Cotangents::Cotangents(Arena& arena, Arena& lasting_arena, std::uint32_t outputs, bool reuse)
    : arena_(arena), lasting_arena_(lasting_arena), places_(outputs), reuse_(reuse) {
  buffers_ = arena.array<void*>(outputs);
  std::memset(buffers_, 0, outputs * sizeof(void*));
  if (reuse) free_.fill(nullptr);
}

void Cotangents::reserve(std::uint32_t outputs) {
  if (outputs <= places_) return;
  void** more = arena_.array<void*>(outputs);
  std::memcpy(more, buffers_, places_ * sizeof(void*));
  std::memset(more + places_, 0, (outputs - places_) * sizeof(void*));
  buffers_ = more;
  places_ = outputs;
}

void* Cotangents::sum(std::uint32_t flat, const TensorView& like, bool lasting) {
  if (buffers_[flat] == nullptr) {
    const std::size_t bytes = like.byte_count();
    buffers_[flat] = take(bytes, lasting);
    std::memset(buffers_[flat], 0, bytes);
  } else {
    zero_fill_unwritten(flat);
  }
  return buffers_[flat];
}

void* Cotangents::write_part(std::uint32_t flat, const TensorView& like, bool lasting, Range part,
                             bool& uninitialized) {
  if (part.empty()) return uninitialized = false, sum(flat, like, lasting);
  if (buffers_[flat] == nullptr) {
    buffers_[flat] = take(like.byte_count(), lasting);
    uninitialized = true;
    if (part.end == everything.end) return buffers_[flat];
    const Index size = like.size();
    if (part.begin > 0 || part.end < size)
      partial_.push_back({flat, part.begin, part.end, size, byte_size(like.dtype)});
    return buffers_[flat];
  }
  uninitialized = false;
  for (std::size_t i = 0; i < partial_.size(); ++i)
    if (partial_[i].flat == flat) {
      uninitialized = extend(i, {part.begin, std::min(part.end, partial_[i].size)});
      break;
    }
  return buffers_[flat];
}

/// Marks `part` as written and fills its unwritten rest, and gaps, with zeros. Returns true when no element
/// of `part` was written before; `part` itself is then uninitialised.
bool Cotangents::extend(std::size_t at, Range part) {
  Partial& p = partial_[at];
  const Range before{p.begin, p.end};
  const bool uninitialized = part.end <= before.begin || part.begin >= before.end;
  p.begin = std::min(p.begin, part.begin);
  p.end = std::max(p.end, part.end);
  if (uninitialized) {  // zeros in between
    clear(p, std::min(part.end, before.end), std::max(part.begin, before.begin));
  } else {
    clear(p, part.begin, before.begin);
    clear(p, before.end, part.end);
  }
  if (p.begin == 0 && p.end == p.size) {
    p = partial_.back();
    partial_.pop_back();
  }
  return uninitialized;
}

void Cotangents::clear(const Partial& p, Index begin, Index end) {
  if (begin >= end) return;
  std::memset(static_cast<std::byte*>(buffers_[p.flat]) + static_cast<std::size_t>(begin) * p.element_bytes,
              0, static_cast<std::size_t>(end - begin) * p.element_bytes);
}

void Cotangents::zero_fill_partial(std::uint32_t flat) {
  for (std::size_t i = 0; i < partial_.size(); ++i)
    if (partial_[i].flat == flat) {
      extend(i, {0, partial_[i].size});
      return;
    }
}

void Cotangents::zero_fill_all() {
  while (!partial_.empty()) extend(0, {0, partial_[0].size});
}

}  // namespace tapegrad
