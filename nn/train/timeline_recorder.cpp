#include "timeline_recorder.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "../../autograd/kernels/elementwise.h"

namespace tapegrad::nn {
namespace {

/// Rounds as the JSON text does, so that a resumed run has the numbers of an uninterrupted one.
double rounded(double x) {
  return std::isfinite(x) ? std::strtod(fmt::format("{:.7g}", x).c_str(), nullptr) : x;
}

void take_roots(std::vector<double>& squares) {
  for (double& x : squares) x = rounded(std::sqrt(x));
}

double squares(const TensorView& x, Index begin, Index size) {
  return dispatch(x.dtype, [&]<class T>(T) {
    return static_cast<double>(kernels::sum_squares(x.data<T>() + begin, size));
  });
}

std::string layer_of(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == path.npos ? path : path.substr(0, dot);
}

/// Weights [.., heads, query, key] of one tap.
struct Weights {
  std::vector<double> values;
  Index heads, queries, keys;
  explicit Weights(const Tensor& x)
      : values(x.to_vector()), heads(x.shape()[-3]), queries(x.shape()[-2]), keys(x.shape()[-1]) {}
  Index cells() const { return queries * keys; }
  double at(Index head, Index query, Index key) const {
    return values[static_cast<std::size_t>((head * queries + query) * keys + key)];
  }
  /// The number of keys that some head gives weight to: those that the mask shows the query.
  Index visible(Index query) const {
    Index count = 0;
    for (Index key = 0; key < keys; ++key)
      for (Index head = 0; head < heads; ++head)
        if (at(head, query, key) > 0) {
          ++count;
          break;
        }
    return count;
  }
};

/// Adds entropy and focus of every head to `sample`, from head `first` on.
void add_look(const Weights& w, TimelineSample& sample, std::size_t first) {
  std::vector<Index> visible;
  Index counted = 0;
  for (Index q = 0; q < w.queries; ++q) {
    visible.push_back(w.visible(q));
    counted += visible.back() >= 2;
  }
  if (counted == 0) return;
  for (Index h = 0; h < w.heads; ++h) {
    double entropy = 0, focus = 0;
    std::vector<double> share(static_cast<std::size_t>(w.keys));
    for (Index q = 0; q < w.queries; ++q) {
      const Index keys = visible[static_cast<std::size_t>(q)];
      if (keys < 2) continue;
      double sum = 0;
      for (Index k = 0; k < w.keys; ++k) {
        const double p = w.at(h, q, k);
        if (p > 0) sum -= p * std::log(p);
        share[static_cast<std::size_t>(k)] += p;
      }
      entropy += sum / std::log(static_cast<double>(keys));
    }
    focus = *std::max_element(share.begin(), share.end());
    sample.entropy[first + static_cast<std::size_t>(h)] += entropy / static_cast<double>(counted);
    sample.focus[first + static_cast<std::size_t>(h)] += focus / static_cast<double>(counted);
  }
}

bool is_map(const Tap& tap) { return tap.value.shape().rank() >= 3; }

template <class T>
void thin_out(std::vector<T>& list, std::int64_t last, std::int64_t every, std::int64_t most,
              std::int64_t always) {
  const std::int64_t interval = kept_interval(last, every, most);
  std::erase_if(list,
                [&](const T& x) { return x.step > always && x.step != last && x.step % interval != 0; });
}

}  // namespace

TimelineRecorder::TimelineRecorder(const ParameterStore& params, WatchedExamples examples,
                                   const TimelineRecorderOptions& options)
    : examples_(std::move(examples)), options_(options), tape_({.dtype = options.dtype, .record = false}) {
  expects(options.every > 0 && options.most_samples > 1 && options.most_snapshots > 1,
          "timeline: every {} must be above 0, most_samples {} and most_snapshots {} above 1", options.every,
          options.most_samples, options.most_snapshots);
  std::unordered_map<std::string, std::size_t> numbers;
  for (const Parameter& p : params) {
    if (p.is_buffer()) continue;
    const auto [at, added] = numbers.emplace(layer_of(p.path()), timeline_.layers.size());
    if (added) timeline_.layers.push_back(at->first);
    parameters_.push_back({p, at->second, {}});
    layers_.emplace(p.data(), at->second);
  }
  tape_.observers().collect("*.weights");
  if (examples_.count == 0) return;
  examples_.run(tape_, 0);
  for (const Tap& tap : tape_.observers().collected()) {
    if (!is_map(tap)) continue;
    const Weights w(tap.value.value());
    const std::string path = layer_of(tap.name);
    WatchedAttention& attention = timeline_.attention.emplace_back();
    attention.path = path;
    attention.heads = w.heads;
    for (Index i = 0; i < w.queries; ++i) attention.rows.push_back(fmt::format("{}", i));
    for (Index i = 0; i < w.keys; ++i) attention.columns.push_back(fmt::format("{}", i));
    std::vector<HeadRows>& rows = projections_.emplace_back();
    if (const Parameter packed = params.find(path + ".in_proj_weight")) rows.push_back({packed, 3});
    for (const char* name : {".q_proj_weight", ".k_proj_weight", ".v_proj_weight"})
      if (const Parameter one = params.find(path + name)) rows.push_back({one, 1});
  }
}

bool TimelineRecorder::due(std::int64_t step) const {
  return step == 1 || step % kept_interval(step, options_.every, options_.most_samples) == 0;
}

bool TimelineRecorder::snapshot_due(std::int64_t step) const {
  return examples_.count > 0 && step % kept_interval(step, options_.every, options_.most_snapshots) == 0;
}

void TimelineRecorder::thin(std::int64_t last) {
  thin_out(timeline_.samples, last, options_.every, options_.most_samples, 1);
  thin_out(timeline_.snapshots, last, options_.every, options_.most_snapshots, 0);
}

/// Rows of head h in a block of d rows: [h d / heads, (h + 1) d / heads).
void TimelineRecorder::head_gradients(std::size_t attention, const Gradients& gradients) {
  const Index heads = timeline_.attention[attention].heads;
  for (Index h = 0; h < heads; ++h) {
    double sum = 0;
    for (const HeadRows& rows : projections_[attention]) {
      if (!gradients.contains(rows.weight)) continue;
      const Tensor gradient = gradients[rows.weight];
      const Index d = gradient.shape()[0] / rows.blocks, width = gradient.shape()[1];
      for (Index block = 0; block < rows.blocks; ++block)
        sum += squares(gradient.view(), (block * d + h * d / heads) * width, d / heads * width);
    }
    next_.head_gradient.push_back(rounded(std::sqrt(sum)));
  }
}

void TimelineRecorder::before_update(const Gradients& gradients) {
  next_ = {};
  for (std::vector<double>* list : {&next_.gradient, &next_.weight, &next_.update})
    list->assign(timeline_.layers.size(), 0);
  double all = 0;
  for (Watched& w : parameters_) {
    const TensorView value = w.parameter.value().view();
    next_.weight[w.layer] += squares(value, 0, value.size());
    const auto* bytes = static_cast<const std::byte*>(value.bytes);
    w.before.assign(bytes, bytes + value.byte_count());
  }
  for (const Gradients::Entry& entry : gradients.parameters("timeline")) {
    const double sum = squares(entry.gradient, 0, entry.gradient.size());
    all += sum;
    if (const auto at = layers_.find(entry.parameter->data()); at != layers_.end())
      next_.gradient[at->second] += sum;
  }
  next_.gradient_norm = rounded(std::sqrt(all));
  take_roots(next_.gradient);
  take_roots(next_.weight);
  for (std::size_t i = 0; i < timeline_.attention.size(); ++i) head_gradients(i, gradients);
}

const TimelineSample& TimelineRecorder::after_update(std::int64_t step, double loss, double learning_rate) {
  for (Watched& w : parameters_) {
    const TensorView value = w.parameter.value().view();
    next_.update[w.layer] += dispatch(value.dtype, [&]<class T>(T) {
      T* before = reinterpret_cast<T*>(w.before.data());
      for (Index i = 0; i < value.size(); ++i) before[i] = value.data<T>()[i] - before[i];
      return static_cast<double>(kernels::sum_squares(before, value.size()));
    });
  }
  take_roots(next_.update);
  next_.step = step;
  next_.loss = rounded(loss);
  next_.learning_rate = rounded(learning_rate);
  look(next_);
  timeline_.samples.push_back(std::move(next_));
  next_ = {};
  thin(step);
  return timeline_.samples.back();
}

void TimelineRecorder::look(TimelineSample& sample) {
  std::size_t heads = 0;
  for (const WatchedAttention& a : timeline_.attention) heads += static_cast<std::size_t>(a.heads);
  sample.entropy.assign(heads, 0);
  sample.focus.assign(heads, 0);
  for (std::size_t example = 0; example < examples_.count; ++example) {
    tape_.reset();
    examples_.run(tape_, example);
    std::size_t first = 0;
    for (const Tap& tap : tape_.observers().collected()) {
      if (!is_map(tap)) continue;
      const Weights w(tap.value.value());
      add_look(w, sample, first);
      first += static_cast<std::size_t>(w.heads);
    }
  }
  for (std::vector<double>* list : {&sample.entropy, &sample.focus})
    for (double& x : *list) x = rounded(x / static_cast<double>(examples_.count));
}

const AttentionSnapshot& TimelineRecorder::snapshot(std::int64_t step) {
  AttentionSnapshot taken{step, {}};
  tape_.reset();
  examples_.run(tape_, 0);
  for (const Tap& tap : tape_.observers().collected()) {
    if (!is_map(tap)) continue;
    const Weights w(tap.value.value());
    std::vector<std::uint16_t>& map = taken.maps.emplace_back();
    for (Index h = 0; h < w.heads; ++h)
      for (Index i = 0; i < w.cells(); ++i)
        map.push_back(static_cast<std::uint16_t>(
            std::lround(65535 * std::clamp(w.at(h, i / w.keys, i % w.keys), 0.0, 1.0))));
  }
  std::erase_if(timeline_.snapshots, [&](const AttentionSnapshot& s) { return s.step == step; });
  timeline_.snapshots.push_back(std::move(taken));
  thin_out(timeline_.snapshots, step, options_.every, options_.most_snapshots, 0);
  return timeline_.snapshots.back();
}

}  // namespace tapegrad::nn
