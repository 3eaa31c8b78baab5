#include "threads.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "../base/error.h"
#include "relax.h"

namespace tapegrad {

ThreadTeam::ThreadTeam(std::size_t workers)
    : workers_(workers), spins_(workers <= std::thread::hardware_concurrency()) {
  expects(workers >= 1 && workers <= 1024, "threads: {} is not between 1 and 1024", workers);
  seats_ = std::make_unique<Seat[]>(workers);
  try {
    for (std::size_t worker = 1; worker < workers; ++worker)
      threads_.emplace_back([this, worker] { loop(worker); });
  } catch (...) {  // the system is out of threads
    stop();
    throw SystemError(
        fmt::format("threads: the system started {} of {} threads", threads_.size() + 1, workers));
  }
}

ThreadTeam::~ThreadTeam() { stop(); }

void ThreadTeam::stop() {
  stop_ = true;
  call(threads_.size() + 1);
  for (std::thread& thread : threads_) thread.join();
}

/// Starts the next round of workers 1 … workers − 1, which see all earlier writes. Sequentially consistent,
/// here and in `loop`: notify_one must not look for sleepers before the change is visible.
void ThreadTeam::call(std::size_t workers) {
  for (std::size_t worker = 1; worker < workers; ++worker) {
    seats_[worker].round.fetch_add(1);
    seats_[worker].round.notify_one();
  }
}

/// Spins until `ready`, up to a limit: waking a sleeping thread takes as long as a small step.
template <class Ready>
bool ThreadTeam::spin(Ready&& ready) const {
  if (ready()) return true;
  if (!spins_) return false;
  const auto end = std::chrono::steady_clock::now() + std::chrono::microseconds(50);
  do {
    for (int i = 0; i < 16; ++i) {
      relax();
      if (ready()) return true;
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

void ThreadTeam::work(std::size_t worker) {
  for (std::size_t number = worker; number < count_; number += workers_) {
    try {
      task_.call(task_.function, worker, number);
    } catch (...) {
      const std::lock_guard lock(error_mutex_);
      if (!error_ || number < error_task_) {
        error_ = std::current_exception();
        error_task_ = number;
      }
      return;
    }
  }
}

void ThreadTeam::loop(std::size_t worker) {
  std::atomic<std::uint32_t>& round = seats_[worker].round;
  for (std::uint32_t seen = 0;; ++seen) {
    const auto called = [&] { return round.load(std::memory_order_acquire) != seen; };
    while (!spin(called)) round.wait(seen, std::memory_order_acquire);
    if (stop_) return;
    work(worker);
    if (running_.fetch_sub(1) == 1) running_.notify_one();
  }
}

void ThreadTeam::run_tasks(std::size_t count, const Task& task) {
  task_ = task;
  count_ = count;
  error_ = nullptr;
  const std::size_t busy = std::clamp<std::size_t>(count, 1, workers_);
  running_.store(static_cast<std::uint32_t>(busy - 1), std::memory_order_relaxed);
  call(busy);
  work(0);
  const auto done = [&] { return running_.load(std::memory_order_acquire) == 0; };
  while (!spin(done))
    if (const std::uint32_t left = running_.load(std::memory_order_acquire); left > 0)
      running_.wait(left, std::memory_order_acquire);
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace tapegrad
