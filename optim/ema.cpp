#include "ema.h"

#include <algorithm>

namespace tapegrad::optim {

Ema::Ema(ParameterStore& params, double decay)
    : params_(params), average_(params.seed(), params.dtype()), decay_(decay) {
  expects(decay >= 0 && decay < 1, "Ema: decay {} is not in [0, 1)", decay);
  for (const Parameter& p : params)
    average_.create(
        p.path(), p.shape(), [&](Tensor& values, RandomKey) { values.copy_from(p.value()); }, p.is_buffer());
  for (const Tie& tie : params.ties()) average_.tie(tie.path, average_.at(tie.parameter.path()));
}

void Ema::update() {
  expects(!swapped_, "Ema: update() while the average is swapped in; call swap() again first");
  expects(params_.size() == average_.size(),
          "Ema: made for {} parameters, but the store has {} now; make it after the model", average_.size(),
          params_.size());
  const double t = static_cast<double>(updates_++);
  const double d = std::min(decay_, (1 + t) / (10 + t));
  auto own = average_.begin();
  for (const Parameter& p : params_) {
    (own++)->update([&](Tensor& values) {
      dispatch(values.dtype(), [&](auto zero) {
        using T = decltype(zero);
        const T keep = static_cast<T>(d), fresh = static_cast<T>(1 - d);
        T* average = values.data<T>();
        const T* value = p.value().data<T>();
        for (Index i = 0; i < values.size(); ++i) average[i] = keep * average[i] + fresh * value[i];
      });
    });
  }
}

}  // namespace tapegrad::optim
