#include "examples/seq2seq/trainer.h"

#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/autograd/observe/check.h>
#include <tapegrad/optim/clip.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <stdexcept>

#include "examples/seq2seq/commands.h"
#include "examples/seq2seq/interrupt.h"

namespace tapegrad::seq2seq {
using namespace nn;
using namespace optim;
namespace {

constexpr double save_every = 60;  // seconds

std::int64_t total_steps(const TrainOptions& options, std::int64_t an_epoch) {
  const std::int64_t by_epochs =
      options.epochs > INT64_MAX / an_epoch ? INT64_MAX : options.epochs * an_epoch;
  if (options.steps == 0) return by_epochs;
  return options.epochs == 0 ? options.steps : std::min(options.steps, by_epochs);
}

/// Throws as DataError what a checkpoint's contents make library calls throw.
template <class F>
void from_checkpoint(const TrainOptions& options, F&& load) {
  try {
    load();
  } catch (const DataError&) {
    throw;
  } catch (const SystemError&) {
    throw;
  } catch (const Error& error) {
    throw DataError(fmt::format("{}: {}", checkpoint_file(options.out), error.what()));
  }
}

}  // namespace

Schedule make_schedule(const TrainOptions& options, std::int64_t steps) {
  const std::int64_t warmup = std::min(options.warmup, steps);
  if (options.schedule == "linear") return linear_decay(options.lr, warmup, steps);
  if (options.schedule == "cosine") return cosine_decay(options.lr, warmup, steps);
  if (options.schedule == "inverse-sqrt") return inverse_square_root(options.lr, options.warmup);
  const Schedule rise = linear_warmup(options.lr, options.warmup);
  if (options.schedule == "constant") return rise;
  return [rise, fall = step_decay(1, options.decay_every, options.decay_factor)](Index s) {
    return rise(s) * fall(s);
  };
}

Trainer::Trainer(const TrainOptions& options, Model& model, const Corpus& corpus, Validator* validator,
                 TrainingReport* report, Progression start, const Checkpoint* from)
    : options_(options),
      model_(model),
      corpus_(corpus),
      validator_(validator),
      report_(report),
      at_(std::move(start)),
      batches_(corpus.lengths(), {.batch_size = options.batch, .seed = options.seed}),
      step_(model.params,
            {.threads = thread_count(options.threads), .seed = options.seed, .check = options.check}),
      adam_({.learning_rate = options.lr,
             .beta1 = options.beta1,
             .beta2 = options.beta2,
             .weight_decay = options.weight_decay}),
      total_(total_steps(options, batches_.count())),
      schedule_(make_schedule(options, total_)),
      progress_({.start = at_.step,
                 .total = total_,
                 .seconds = options.minutes > 0 ? std::optional(60 * options.minutes) : std::nullopt}),
      start_(std::chrono::steady_clock::now()),
      earlier_seconds_(at_.seconds) {
  if (options.ema > 0) ema_.emplace(model.params, options.ema);
  if (from) accept(*from);
  log_.emplace(options.out, at_.step);
}

void Trainer::accept(const Checkpoint& from) {
  saved_step_ = at_.step;
  from_checkpoint(options_, [&] {
    batches_.seek(at_.epoch, at_.index);
    adam_.load_state(model_.params, from.optimizer);
    if (ema_) {
      const std::string where = checkpoint_file(options_.out) + ": ema";
      warn_of(load_state_dict(ema_->average(), from.average, {.where = where}), where);
      ema_->set_updates(at_.ema_updates);
    }
    best_weights_ = from.best;
  });
}

double Trainer::elapsed() const {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
}

bool Trainer::limits_reached() const {
  if (at_.step >= total_) return true;
  if (validator_ && options_.patience > 0 && at_.stale >= options_.patience) return true;
  return options_.minutes > 0 && elapsed() >= 60 * options_.minutes;
}

bool Trainer::validation_due() const {
  if (!validator_ || at_.step == 0 || at_.validated_step == at_.step) return false;
  return options_.valid_every > 0 ? at_.step % options_.valid_every == 0 : at_.index == batches_.count();
}

int Trainer::run() {
  if (report_) {  // what fails here fails before any work
    if (at_.step == 0) std::fputs(report_->begin(corpus_).c_str(), stderr);
    report_->write();
  }
  for (;;) {
    if (validation_due() && !validate(false)) break;
    if (interrupted() || limits_reached()) break;
    train_step();
    if (elapsed() - saved_seconds_ >= save_every) save();
  }
  if (!interrupted()) finish();
  // The last validation is no part of what resuming goes on from.
  save();
  if (!validator_ || (!at_.best && last_weights_.tensors.empty())) {
    if (ema_) ema_->swap();
    save_model(options_.out, model_, state_dict(model_.params));
    if (ema_) ema_->swap();
  } else {
    save_model(options_.out, model_, last_weights_.tensors.empty() ? best_weights_ : last_weights_);
  }
  log_->draw();
  progress_.finish();
  reporting([&](TrainingReport& report) { std::fputs(report.finish(at_.step).c_str(), stderr); });
  if (interrupted()) return exit_interrupted;
  if (report_failure_.empty()) return exit_ok;
  std::fputs(fmt::format("seq2seq: model and checkpoint are saved, the report is not: {}\n", report_failure_)
                 .c_str(),
             stderr);
  return exit_failure;
}

template <class F>
void Trainer::reporting(F&& write) {
  if (!report_) return;
  try {
    write(*report_);
  } catch (const SystemError& error) {
    report_ = nullptr;
    report_failure_ = printable(error.what());
    progress_.note(
        fmt::format("seq2seq: warning: no more is reported from step {} on: {}", at_.step, report_failure_));
  }
}

void Trainer::train_step() {
  const TrainingBatch batch(corpus_, batches_.next());
  if (labelled_ != batches_.epoch())
    progress_.relabel(fmt::format("epoch {}", (labelled_ = batches_.epoch()) + 1));
  const StepResult result = forward_and_backward(batch);
  const bool sampled = report_ && report_->recorder().due(at_.step + 1);
  if (sampled) report_->recorder().before_update(result.gradients);
  const double norm =
      options_.clip > 0 ? clip_grad_norm(result.gradients, options_.clip) : grad_norm(result.gradients);
  refuse_divergence(result.loss(), norm);
  const double rate = schedule_(at_.step + 1);
  adam_.set_learning_rate(rate);
  adam_.step(result.gradients);
  if (ema_) ema_->update();
  if (sampled)
    reporting([&](TrainingReport& report) {
      report.sampled(report.recorder().after_update(at_.step + 1, result.loss(), rate));
    });

  ++at_.step;
  at_.epoch = batches_.epoch();
  at_.index = batches_.index();
  at_.window_loss += result.loss_sum;
  at_.window_count += result.count;
  logged_tokens_ += result.count;
  progress_.update(at_.step, result.loss());
  if (at_.step % options_.log_every == 0) log_step(rate, norm);
}

StepResult Trainer::forward_and_backward(const TrainingBatch& batch) {
  const auto number = static_cast<std::uint64_t>(at_.step) + 1;
  try {
    return step_.run(number, batch, [&](Tape& tape, const Seq2SeqBatch& shard) -> ShardLoss {
      return {model_.network.loss_sum(tape, shard, options_.label_smoothing), shard.targets};
    });
  } catch (const NonFiniteError& error) {
    reporting([](TrainingReport& report) { report.write(); });
    throw std::runtime_error(
        fmt::format("training stopped at step {}: {}; {}", number, error.what(), last_checkpoint()));
  }
}

void Trainer::log_step(double learning_rate, double norm) {
  const double now = elapsed(), seconds = now - logged_seconds_;
  log_->write({{"kind", "train"},
               {"step", at_.step},
               {"epoch", at_.epoch + 1},
               {"loss", at_.window_loss / static_cast<double>(at_.window_count)},
               {"lr", learning_rate},
               {"grad_norm", norm},
               {"tokens_per_second", seconds > 0 ? static_cast<double>(logged_tokens_) / seconds : 0.0},
               {"seconds", earlier_seconds_ + now}});
  at_.window_loss = 0;
  at_.window_count = 0;
  logged_tokens_ = 0;
  logged_seconds_ = now;
}

bool Trainer::validate(bool last) {
  if (ema_) ema_->swap();
  const std::optional<Validation> result = validator_->run([] { return interrupted(); });
  if (result) {
    const Best found{result->score.word_error_rate(), result->loss, at_.step};
    const bool better = std::isfinite(found.loss) && (!at_.best || found.better_than(*at_.best));
    if (better) {
      (last ? last_weights_ : best_weights_) = state_dict(model_.params, {.copied = true});
      save_model(options_.out, model_, state_dict(model_.params));
    }
    if (!last) {
      at_.validated_step = at_.step;
      at_.stale = better ? 0 : at_.stale + 1;
      if (better) at_.best = found;
    }
    JsonMembers line = {{"kind", "valid"},
                        {"step", at_.step},
                        {"epoch", at_.epoch + 1},
                        {"loss", found.loss},
                        {"wer", found.error_rate},
                        {"per", result->score.token_error_rate()},
                        {"exact_match", result->score.exact_match()},
                        {"best", better},
                        {"seconds", earlier_seconds_ + elapsed()}};
    if (last) line.emplace_back("last", true);
    log_->write(line);
    log_->draw();
    reporting([&](TrainingReport& report) { report.validated(at_.step, found.loss, last); });
    progress_.note(fmt::format("step {}: validation loss {:.4f}, word error rate {:.2f} %{}", at_.step,
                               found.loss, 100 * found.error_rate, better ? ", the best so far" : ""));
  }
  if (ema_) ema_->swap();
  return result.has_value();
}

void Trainer::finish() {
  if (validator_ && at_.step > 0 && at_.validated_step != at_.step) validate(true);
}

void Trainer::save() {
  refuse_weights();
  at_.seconds = earlier_seconds_ + elapsed();
  at_.ema_updates = ema_ ? ema_->updates() : 0;
  save_checkpoint(options_.out, model_,
                  {.progression = at_,
                   .optimizer = adam_.state(),
                   .average = ema_ ? state_dict(ema_->average()) : TensorFile(),
                   .best = best_weights_});
  saved_seconds_ = elapsed();
  saved_step_ = at_.step;
  reporting([](TrainingReport& report) { report.write(); });
}

void Trainer::refuse_divergence(double loss, double norm) {
  if (std::isfinite(loss) && std::isfinite(norm)) return;
  reporting([](TrainingReport& report) { report.write(); });
  const auto shown = [](double x) { return std::isnan(x) ? "nan" : fmt::format("{}", x); };  // never -nan
  throw std::runtime_error(fmt::format(
      "training diverged at step {}: loss {}, gradient norm {}; {}; try a smaller --lr (now {}) or "
      "--clip (now {}); --check names the first op that makes a NaN or an infinity",
      at_.step + 1, shown(loss), shown(norm), last_checkpoint(), options_.lr, options_.clip));
}

/// A last update can overflow where no later loss tells of it.
void Trainer::refuse_weights() const {
  for (const Parameter& p : model_.params)
    if (const Index at = first_non_finite(p.value().view()); at >= 0)
      throw std::runtime_error(fmt::format(
          "training diverged at step {}: {} is not finite after the update, at element {}; {}; try a "
          "smaller --lr (now {})",
          at_.step, p.path(), at, last_checkpoint(), options_.lr));
}

std::string Trainer::last_checkpoint() const {
  return saved_step_ ? fmt::format("the last checkpoint is of step {}", *saved_step_)
                     : "no checkpoint was saved yet";
}

}  // namespace tapegrad::seq2seq
