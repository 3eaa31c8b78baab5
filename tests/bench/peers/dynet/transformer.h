/// The encoder-decoder of peer_bench.py in DyNet's expressions. A batch of sentences is a mini-batch of
/// columns, sentence after sentence: {d_model} × batch · length; in attention {·, length} × batch.
#pragma once
#include <map>
#include <string>
#include <vector>

#include <dynet/expr.h>
#include <dynet/model.h>

#include "../../program/batches.h"

namespace dynet_peer {

using tapegrad::bench::Size;

/// Rows of PyTorch's matrix or vector: our parameters that are consecutive in it.
using Parts = std::vector<dynet::Parameter>;

class Transformer {
 public:
  Transformer(dynet::ParameterCollection& params, const Size& size);

  /// Mean loss over the target's symbols.
  dynet::Expression loss(dynet::ComputationGraph& graph, const std::vector<unsigned>& source,
                         const std::vector<unsigned>& target_in) const;

  /// By the names of peer_torch.py's module.
  const std::map<std::string, Parts>& named() const { return named_; }
  const std::map<std::string, dynet::LookupParameter>& embeddings() const { return embeddings_; }

 private:
  struct Graph;  // the expressions of one step
  void add_linear(const std::string& name, unsigned in, const std::vector<unsigned>& out, const char* weight,
                  const char* bias);
  void add_norm(const std::string& name);
  void add_attention(const std::string& name, bool cross);
  void add_layer(const std::string& name, bool decoder);

  const Size size_;
  dynet::ParameterCollection& params_;
  std::map<std::string, Parts> named_;
  std::map<std::string, dynet::LookupParameter> embeddings_;
  std::vector<float> positions_, mask_, centre_, average_, ones_;
};

}  // namespace dynet_peer
