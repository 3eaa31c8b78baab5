#include "transformer.h"

#include <cmath>

#include <dynet/param-init.h>

namespace dynet_peer {

using dynet::Dim;
using dynet::Expression;

namespace {

unsigned number(std::int64_t x) { return static_cast<unsigned>(x); }

}  // namespace

void Transformer::add_linear(const std::string& name, unsigned in, const std::vector<unsigned>& out,
                             const char* weight, const char* bias) {
  unsigned rows = 0;
  for (const unsigned n : out) rows += n;
  const dynet::ParameterInitUniform xavier(std::sqrt(6.0F / static_cast<float>(in + rows)));
  for (const unsigned n : out) {
    named_[name + weight].push_back(params_.add_parameters(Dim({n, in}), xavier));
    named_[name + bias].push_back(params_.add_parameters(Dim({n}), dynet::ParameterInitConst(0)));
  }
}

void Transformer::add_norm(const std::string& name) {
  const Dim width({number(size_.d_model)});
  named_[name + ".weight"] = {params_.add_parameters(width, dynet::ParameterInitConst(1))};
  named_[name + ".bias"] = {params_.add_parameters(width, dynet::ParameterInitConst(0))};
}

void Transformer::add_attention(const std::string& name, bool cross) {
  const unsigned d = number(size_.d_model);
  add_linear(name, d, cross ? std::vector{d, 2 * d} : std::vector{3 * d}, ".in_proj_weight", ".in_proj_bias");
  add_linear(name + ".out_proj", d, {d}, ".weight", ".bias");
}

void Transformer::add_layer(const std::string& name, bool decoder) {
  const unsigned d = number(size_.d_model), ff = number(size_.ff);
  add_attention(name + ".self_attn", false);
  if (decoder) add_attention(name + ".multihead_attn", true);
  add_linear(name + ".linear1", d, {ff}, ".weight", ".bias");
  add_linear(name + ".linear2", ff, {d}, ".weight", ".bias");
  for (int i = 1; i <= (decoder ? 3 : 2); ++i) add_norm(name + ".norm" + std::to_string(i));
}

Transformer::Transformer(dynet::ParameterCollection& params, const Size& size)
    : size_(size), params_(params) {
  const unsigned d = number(size.d_model), vocabulary = number(size.vocabulary);
  for (const char* name : {"src_emb.weight", "tgt_emb.weight"})
    embeddings_[name] = params.add_lookup_parameters(
        vocabulary, Dim({d}), dynet::ParameterInitNormal(0, 1.0F / static_cast<float>(d)));
  for (const std::string half : {"encoder", "decoder"}) {
    for (std::int64_t i = 0; i < size.layers; ++i)
      add_layer("transformer." + half + ".layers." + std::to_string(i), half == "decoder");
    add_norm("transformer." + half + ".norm");
  }
  add_linear("generator", d, {vocabulary}, ".weight", ".bias");

  average_.assign(d, 1.0F / static_cast<float>(d));
  ones_.assign(d, 1);
  for (unsigned i = 0; i < d * d; ++i)
    centre_.push_back((i % (d + 1) == 0 ? 1.0F : 0.0F) - 1.0F / static_cast<float>(d));
  for (std::int64_t row = 0; row < size.tokens(); ++row)
    for (std::int64_t j = 0; j < size.d_model; ++j) {
      const double angle = static_cast<double>(row % size.length) *
                           std::exp(static_cast<double>(j - j % 2) * -std::log(10000.0) / d);
      positions_.push_back(static_cast<float>(j % 2 == 0 ? std::sin(angle) : std::cos(angle)));
    }
  for (std::int64_t query = 0; query < size.length; ++query)  // a column a query
    for (std::int64_t key = 0; key < size.length; ++key) mask_.push_back(key > query ? -1e9F : 0.0F);
}

struct Transformer::Graph {
  const Transformer& model;
  dynet::ComputationGraph& graph;
  Expression positions, mask, centre, average, ones;  // x less its mean, mean, copies

  const Size& size() const { return model.size_; }
  Expression part(const std::string& name, std::size_t i = 0) {
    return dynet::parameter(graph, model.named_.at(name)[i]);
  }
  Expression linear(const Expression& x, const std::string& name, const char* weight = ".weight",
                    const char* bias = ".bias", std::size_t i = 0) {
    return dynet::affine_transform({part(name + bias, i), part(name + weight, i), x});
  }
  Expression norm(const Expression& x, const std::string& name) {
    // By products with constants: dynet::layer_norm, whose reductions and broadcasts are slow, takes several
    // times as long. It also adds its epsilon to the deviation, not to the variance.
    const Expression centred = centre * x;
    const Expression variance = average * dynet::square(centred);  // {1} × tokens
    const Expression scale = ones * dynet::pow(variance + 1e-5F, dynet::input(graph, -0.5F));
    return dynet::cmult(part(name + ".weight"), dynet::cmult(centred, scale)) + part(name + ".bias");
  }
  Expression embed(const std::vector<unsigned>& ids, const char* name) {
    const float scale = std::sqrt(static_cast<float>(size().d_model));
    return dynet::lookup(graph, model.embeddings_.at(name), ids) * scale + positions;
  }

  /// Rows [first, first + dim) of a packed projection, one head: {dim, length} × batch.
  Expression head(const Expression& packed, unsigned first) {
    const unsigned dim = number(size().d_model / size().heads);
    return dynet::reshape(dynet::pick_range(packed, first, first + dim),
                          Dim({dim, number(size().length)}, number(size().batch)));
  }

  Expression attention(const Expression& x, const Expression& memory, const std::string& name, bool cross,
                       bool causal) {
    const char *weight = ".in_proj_weight", *bias = ".in_proj_bias";
    const unsigned d = number(size().d_model), dim = d / number(size().heads);
    const Expression first = linear(x, name, weight, bias);  // q k v, or q alone
    const Expression second = cross ? linear(memory, name, weight, bias, 1) : first;
    const unsigned keys = cross ? 0 : d;
    const float scale = 1 / std::sqrt(static_cast<float>(dim));
    std::vector<Expression> mixed;  // by head; shuffles of heads into the batch take several times as long
    for (unsigned at = 0; at < d; at += dim) {
      const Expression query = head(first, at) * scale;
      Expression scores = dynet::transpose(head(second, keys + at)) * query;  // {key, query} × batch
      if (causal) scores = scores + mask;
      const Expression values = head(second, keys + d + at) * dynet::softmax(scores);  // {dim, query} × batch
      mixed.push_back(dynet::reshape(values, Dim({dim}, number(size().tokens()))));
    }
    return linear(dynet::concatenate(mixed), name + ".out_proj");
  }

  Expression feed_forward(const Expression& x, const std::string& name) {
    return linear(dynet::rectify(linear(x, name + ".linear1")), name + ".linear2");
  }
};

Expression Transformer::loss(dynet::ComputationGraph& graph, const std::vector<unsigned>& source,
                             const std::vector<unsigned>& target_in) const {
  const unsigned d = number(size_.d_model), time = number(size_.length), tokens = number(size_.tokens());
  Graph g{*this,
          graph,
          dynet::input(graph, Dim({d}, tokens), &positions_),
          dynet::input(graph, Dim({time, time}), &mask_),
          dynet::input(graph, Dim({d, d}), &centre_),
          dynet::input(graph, Dim({1, d}), &average_),
          dynet::input(graph, Dim({d, 1}), &ones_)};
  Expression memory = g.embed(source, "src_emb.weight"), y = g.embed(target_in, "tgt_emb.weight");
  for (std::int64_t i = 0; i < size_.layers; ++i) {
    const std::string name = "transformer.encoder.layers." + std::to_string(i);
    memory = g.norm(memory + g.attention(memory, memory, name + ".self_attn", false, false), name + ".norm1");
    memory = g.norm(memory + g.feed_forward(memory, name), name + ".norm2");
  }
  memory = g.norm(memory, "transformer.encoder.norm");
  for (std::int64_t i = 0; i < size_.layers; ++i) {
    const std::string name = "transformer.decoder.layers." + std::to_string(i);
    y = g.norm(y + g.attention(y, y, name + ".self_attn", false, true), name + ".norm1");
    y = g.norm(y + g.attention(y, memory, name + ".multihead_attn", true, false), name + ".norm2");
    y = g.norm(y + g.feed_forward(y, name), name + ".norm3");
  }
  const Expression logits = g.linear(g.norm(y, "transformer.decoder.norm"), "generator");
  return dynet::sum_batches(dynet::pickneglogsoftmax(logits, source)) * (1.0F / static_cast<float>(tokens));
}

}  // namespace dynet_peer
