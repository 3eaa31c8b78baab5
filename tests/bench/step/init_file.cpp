#include "tests/bench/step/init_file.h"

#include <tapegrad/nn/io/state_dict.h>

namespace tapegrad::bench {
namespace {

std::vector<Batch> batches_of(const std::string& path, const Tensor& data, const Size& size) {
  const Shape& shape = data.shape();
  const bool integers = data.dtype() != DType::f32 && data.dtype() != DType::f64;
  if (!integers || data.rank() != 3 || shape[0] < 1 || shape[1] != size.batch || shape[2] != size.length)
    throw DataError(fmt::format("{}: data.source: got {} {}, expected integers [steps, {}, {}]", path,
                                dtype_name(data.dtype()), shape, size.batch, size.length));
  const Tensor ids = data.to(DType::i64);
  const Index *id = ids.data<Index>(), tokens = size.tokens();
  for (Index i = 0; i < ids.size(); ++i)
    if (id[i] < first_symbol || id[i] >= size.vocabulary)
      throw DataError(fmt::format("{}: data.source: got {} at [{}, {}, {}], expected symbols {} … {}", path,
                                  id[i], i / tokens, i / size.length % size.batch, i % size.length,
                                  first_symbol, size.vocabulary - 1));
  std::vector<Batch> batches;
  for (Index step = 0; step < shape[0]; ++step)
    batches.emplace_back(std::vector<std::int64_t>(id + step * tokens, id + (step + 1) * tokens),
                         size.length);
  return batches;
}

}  // namespace

std::vector<Batch> load_init(const std::string& path, ParameterStore& params, const Size& size) {
  TensorFile file = load_safetensors(path);
  for (const char* buffer : {"pe", "mask"}) file.tensors.erase(buffer);
  std::vector<Batch> batches;
  if (const auto data = file.tensors.extract("data.source")) batches = batches_of(path, data.mapped(), size);
  load_state_dict(params, file, {.where = path});
  return batches;
}

}  // namespace tapegrad::bench
