#include <fcntl.h>
#include <tapegrad/autograd/base/utf8.h>
#include <tapegrad/nn/train/progress.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <limits>
#include <string>

using namespace tapegrad;
using namespace tapegrad::nn;

namespace {

/// A pipe whose read end gives the output so far.
struct Pipe {
  Pipe() { BOOST_REQUIRE(::pipe2(ends.data(), O_NONBLOCK) == 0); }
  ~Pipe() {
    if (ends[0] >= 0) ::close(ends[0]);
    ::close(ends[1]);
  }
  std::string text() const {
    std::string all;
    std::array<char, 4096> part;
    for (::ssize_t n; (n = ::read(ends[0], part.data(), part.size())) > 0;)
      all.append(part.data(), static_cast<std::size_t>(n));
    return all;
  }
  std::array<int, 2> ends{};
};

struct Fixture {
  Pipe pipe;
  double clock = 100;
  ProgressOptions options(bool terminal, int columns = 100) {
    return {.label = "epoch 3",
            .total = 2500,
            .descriptor = pipe.ends[1],
            .terminal = terminal,
            .columns = columns,
            .now = [this] { return clock; }};
  }
};

}  // namespace

BOOST_FIXTURE_TEST_SUITE(progress, Fixture)

BOOST_AUTO_TEST_CASE(plain_lines_come_every_interval) {
  Progress progress(options(false));
  for (int step = 1; step <= 88; ++step) {
    clock += 0.125;
    progress.update(step, 2.0 / step);
  }
  progress.finish();
  progress.update(111, 1);
  BOOST_TEST(pipe.text() ==
             "epoch 3  40/2500  1 %  8.0 steps/s  loss 0.0500  left 05:08\n"
             "epoch 3  80/2500  3 %  8.0 steps/s  loss 0.0250  left 05:03\n"
             "epoch 3  88/2500  3 %  8.0 steps/s  loss 0.0227  left 05:02\n");
}

BOOST_AUTO_TEST_CASE(a_terminal_is_redrawn_in_place) {
  Progress progress(options(true));
  clock += 1;
  progress.update(625, 0.5);
  BOOST_TEST(
      pipe.text() ==
      "\repoch 3  625/2500 [#######-----------------------]  25 %  625 steps/s  loss 0.5000  left 00:03");
  clock += 0.05;
  progress.update(626, 0.5);
  BOOST_TEST(pipe.text() == "");  // too soon
  clock += 2;
  progress.relabel("");
  progress.update(2500, 0.25);
  BOOST_TEST(
      pipe.text() ==
      "\r2500/2500 [##############################]  100 %  820 steps/s  loss 0.2500  left 00:00       ");
  progress.finish();
  BOOST_TEST(pipe.text() == "\n");
}

BOOST_AUTO_TEST_CASE(notes_stand_above_the_bar) {
  Progress progress(options(true, 60));
  progress.note("started");
  BOOST_TEST(pipe.text() == "started\n");
  clock += 1;
  progress.update(10, 0.5);
  const std::string bar = pipe.text();
  BOOST_TEST(bar == "\repoch 3  10/2500  0 %  10.0 steps/s  loss 0.5000");
  progress.note("best so far");
  const std::string blank(bar.size() - 1, ' ');
  BOOST_TEST(pipe.text() == "\r" + blank + "\rbest so far\n" + bar);
}

BOOST_AUTO_TEST_CASE(no_line_is_wider_than_the_terminal) {
  for (int columns = 2; columns < 140; ++columns) {
    Progress progress(options(true, columns));
    clock += 1;
    progress.update(1234, 0.1234);
    const std::string text = pipe.text();
    BOOST_TEST(count_code_points(text) - 1 <= static_cast<std::size_t>(columns) - 1);
    BOOST_TEST(text.back() != ' ');
    progress.finish();
    pipe.text();
  }
}

BOOST_AUTO_TEST_CASE(rate_counts_from_where_a_resumed_run_began) {
  auto resumed = options(false);
  resumed.start = 1000;
  Progress progress(resumed);
  clock += 5;
  progress.update(1010, 1);
  BOOST_TEST(pipe.text() == "epoch 3  1010/2500  40 %  2.0 steps/s  loss 1.0000  left 12:25\n");
}

BOOST_AUTO_TEST_CASE(time_budget_unknown_totals_and_odd_losses) {
  auto timed = options(false);
  timed.seconds = 60;
  timed.label.clear();
  {
    Progress progress(timed);
    clock += 10;
    progress.update(1, std::numeric_limits<double>::quiet_NaN());
    BOOST_TEST(pipe.text() == "1/2500  0 %  0.1 steps/s  loss nan  left 00:50\n");
  }
  timed.total = std::nullopt;
  timed.seconds = std::nullopt;
  Progress progress(timed);
  clock += 10;
  progress.update(7, 0.00001234);
  BOOST_TEST(pipe.text() == "step 7  0.7 steps/s  loss 1.23e-05  left --:--\n");
  auto slow = options(false);
  slow.label.clear();
  Progress other(slow);
  clock += 3600;
  other.update(1250, -3);
  BOOST_TEST(pipe.text() == "1250/2500  50 %  0.3 steps/s  loss -3.0000  left 1:00:00\n");
}

BOOST_AUTO_TEST_CASE(a_closed_or_broken_descriptor_is_silence) {
  auto closed = options(true);
  closed.descriptor = 987;
  Progress nowhere(closed);
  clock += 1;
  nowhere.update(1, 1);
  nowhere.note("x");
  nowhere.finish();

  const auto before = std::signal(SIGPIPE, SIG_IGN);
  Progress broken(options(true));
  ::close(pipe.ends[0]);
  pipe.ends[0] = -1;
  clock += 1;
  broken.update(1, 1);
  broken.finish();
  std::signal(SIGPIPE, before);
}

BOOST_AUTO_TEST_CASE(a_full_pipe_does_not_block) {
  Progress progress(options(false));
  for (int step = 1; step < 5000; ++step) {
    clock += 5;
    progress.update(step, 1);
  }
  BOOST_TEST(pipe.text().size() > 10'000U);
}

BOOST_AUTO_TEST_SUITE_END()
