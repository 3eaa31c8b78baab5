#include "support.h"

#include <tapegrad/autograd/kernels/attention/attention.h>

namespace tapegrad::test {
namespace {

/// Compares rows of one query each over caches with attention_forward, where a row is a batch entry.
template <class T>
void check_rows(Index rows, Index heads, Index dim, Index longest) {
  const Index width = heads * dim, capacity = longest + 3, slots = rows + 2, stride = 3 * width;
  Source source(static_cast<std::uint64_t>(30 + rows + 7 * width));
  const auto query = source.values<T>(rows * stride),
             keys = source.values<T>(slots * width * capacity, -2, 2),
             values = source.values<T>(slots * capacity * width);
  std::vector<std::int64_t> slot, length;
  for (Index row = 0; row < rows; ++row) {
    slot.push_back(source.index(slots));
    length.push_back(row == 1 ? 0 : source.index(longest + 1));
  }
  std::vector<T> key_rows, value_rows;  // [rows, longest, width]
  for (Index row = 0; row < rows; ++row)
    for (Index j = 0; j < longest; ++j)
      for (Index i = 0; i < width; ++i) {
        const Index first = slot[static_cast<std::size_t>(row)] * width * capacity;
        key_rows.push_back(keys[static_cast<std::size_t>(first + i * capacity + j)]);
        value_rows.push_back(values[static_cast<std::size_t>(first + j * width + i)]);
      }
  const T scale = static_cast<T>(0.7);
  each_variant<T>([&] {
    const auto size = static_cast<std::size_t>(rows * width);
    std::vector<T> got(size, 9), expected(size, 9);
    kernels::AttentionStepArgs<T> step;
    step.rows = rows;
    step.heads = heads;
    step.head_dim = dim;
    step.query = query.data();
    step.query_stride = stride;
    step.keys = keys.data();
    step.values = values.data();
    step.slot_keys = step.slot_values = width * capacity;
    step.key_capacity = capacity;
    step.slots = slot.data();
    step.lengths = length.data();
    step.scale = scale;
    step.out = got.data();
    kernels::attention_step(step);
    kernels::AttentionArgs<T> whole;
    whole.batch = rows;
    whole.heads = heads;
    whole.query_len = 1;
    whole.key_len = longest;
    whole.head_dim = whole.value_dim = dim;
    whole.query = query.data();
    whole.key = key_rows.data();
    whole.value = value_rows.data();
    whole.out = expected.data();
    whole.query_strides = {stride, dim, stride};
    whole.key_strides = whole.value_strides = {longest * width, dim, width};
    whole.out_strides = {width, dim, width};
    whole.scale = scale;
    whole.key_lengths = length.data();
    kernels::attention_forward(whole);
    BOOST_TEST(same_bits(got, expected), rows << " rows, " << heads << " heads of " << dim);
  });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(attention_step_kernel)

BOOST_AUTO_TEST_CASE(a_row_has_the_bits_of_whole_attention) {
  for (const Index longest : {1, 5, 16, 17, 40, 200})
    for (const Index dim : {1, 3, 8, 16, 33}) {
      check_rows<float>(4, 3, dim, longest);
      check_rows<double>(4, 3, dim, longest);
    }
  check_rows<float>(0, 1, 2, 3);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad::test
