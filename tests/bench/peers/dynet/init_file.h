#pragma once
#include <string>
#include <vector>

#include "transformer.h"

namespace dynet_peer {

/// Sets the parameters from a safetensors file as ../init_file.py writes it; returns the batches in it.
std::vector<tapegrad::bench::Batch> load_init(const std::string& path, Transformer& model, const Size& size);

}  // namespace dynet_peer
