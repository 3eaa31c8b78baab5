#include <tapegrad/autograd/base/error.h>
#include <tapegrad/autograd/base/random.h>
#include <tapegrad/nn/data/batches.h>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <set>
#include <string_view>
#include <vector>

using namespace tapegrad;

namespace {

using Epoch = std::vector<std::vector<std::int64_t>>;

std::vector<ExampleLength> lengths(std::int64_t count) {
  std::vector<ExampleLength> result;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto h = splitmix64(static_cast<std::uint64_t>(i));
    result.push_back({static_cast<std::int64_t>(h % 20) + 1, static_cast<std::int64_t>(h / 32 % 20) + 1});
  }
  return result;
}

Epoch read_epoch(Batches& batches) {
  Epoch epoch;
  do {
    const auto batch = batches.next();
    epoch.emplace_back(batch.begin(), batch.end());
  } while (batches.index() != batches.count());
  return epoch;
}

std::int64_t padded(const Epoch& epoch, const std::vector<ExampleLength>& sizes) {
  std::int64_t total = 0;
  for (const auto& batch : epoch) {
    ExampleLength longest;
    for (const auto i : batch) {
      longest.source = std::max(longest.source, sizes[static_cast<std::size_t>(i)].source);
      longest.target = std::max(longest.target, sizes[static_cast<std::size_t>(i)].target);
    }
    total += static_cast<std::int64_t>(batch.size()) * (longest.source + longest.target);
  }
  return total;
}

std::int64_t real(const std::vector<ExampleLength>& sizes) {
  std::int64_t total = 0;
  for (const auto& size : sizes) total += size.source + size.target;
  return total;
}

auto says(std::string_view expected) {
  return [expected](const Error& error) { return error.what() == expected; };
}

}  // namespace

BOOST_AUTO_TEST_SUITE(batches)

BOOST_AUTO_TEST_CASE(every_example_comes_once_an_epoch) {
  for (const std::int64_t count : {1, 7, 64, 65, 1000}) {
    for (const std::int64_t pool : {1, 3, 1000}) {
      Batches batches(lengths(count), {.batch_size = 8, .pool = pool, .seed = 3});
      for (int e = 0; e < 3; ++e) {
        BOOST_TEST(batches.count() == (count + 7) / 8);
        std::multiset<std::int64_t> seen;
        for (const auto& batch : read_epoch(batches)) {
          BOOST_TEST((!batch.empty() && batch.size() <= 8));
          seen.insert(batch.begin(), batch.end());
        }
        BOOST_TEST(std::ssize(seen) == count);
        BOOST_TEST((std::set(seen.begin(), seen.end()).size() == seen.size() && *seen.rbegin() == count - 1));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(order_follows_from_seed_and_epoch_alone) {
  const auto make = [](std::uint64_t seed) {
    return Batches(lengths(300), {.batch_size = 16, .seed = seed});
  };
  auto a = make(1), b = make(1), other = make(2);
  const Epoch first = read_epoch(a);
  BOOST_TEST((first == read_epoch(b)));
  BOOST_TEST((first != read_epoch(other)));
  BOOST_TEST((first != read_epoch(a)));
}

BOOST_AUTO_TEST_CASE(the_order_is_the_same_on_every_machine) {
  Batches batches({{3, 3}, {1, 1}, {3, 3}, {2, 2}, {1, 1}, {9, 9}, {3, 3}}, {.batch_size = 2, .seed = 42});
  BOOST_TEST((read_epoch(batches) == Epoch{{4, 1}, {5}, {6, 2}, {3, 0}}));
  BOOST_TEST((read_epoch(batches) == Epoch{{6, 0}, {4, 1}, {3, 2}, {5}}));
  BOOST_TEST(splitmix64(0) == 0xE220A8397B1DCDAFU);  // first output of the published generator seeded with 0
}

BOOST_AUTO_TEST_CASE(a_cursor_resumes_anywhere) {
  const BatchOptions options = {.batch_size = 7, .max_tokens = 150, .pool = 4, .seed = 9};
  Batches straight(lengths(200), options);
  for (int step = 0; step < 150; ++step) {
    Batches resumed(lengths(200), options);
    resumed.seek(straight.epoch(), straight.index());
    const auto expected = straight.next(), got = resumed.next();
    BOOST_REQUIRE(std::equal(expected.begin(), expected.end(), got.begin(), got.end()));
    BOOST_REQUIRE((resumed.epoch() == straight.epoch() && resumed.index() == straight.index()));
  }
  BOOST_TEST(straight.epoch() >= 2);
}

BOOST_AUTO_TEST_CASE(like_lengths_stand_together) {
  const auto sizes = lengths(4000);
  Batches sorted(sizes, {.batch_size = 32}), unsorted(sizes, {.batch_size = 32, .pool = 1});
  const double padding =
      static_cast<double>(padded(read_epoch(sorted), sizes)) / static_cast<double>(real(sizes));
  const double without =
      static_cast<double>(padded(read_epoch(unsorted), sizes)) / static_cast<double>(real(sizes));
  BOOST_TEST(padding < 1.25);
  BOOST_TEST(without > 1.6);
}

BOOST_AUTO_TEST_CASE(equal_lengths_are_shuffled) {
  Batches batches(std::vector<ExampleLength>(512, {5, 5}), {.batch_size = 16});
  const Epoch first = read_epoch(batches), second = read_epoch(batches);
  std::int64_t together =
      0;  // pairs that share a batch in both epochs; 512 * 15 / 2 * 15 / 511 = 113 expected
  for (const auto& a : first) {
    for (const auto& b : second) {
      const auto common =
          std::count_if(a.begin(), a.end(), [&b](auto i) { return std::count(b.begin(), b.end(), i) > 0; });
      together += common * (common - 1) / 2;
    }
  }
  BOOST_TEST((together > 60 && together < 180));
}

BOOST_AUTO_TEST_CASE(batches_by_tokens) {
  const auto sizes = lengths(500);
  Batches batches(sizes, {.batch_size = 1000, .max_tokens = 100});
  std::int64_t largest = 0, examples = 0;
  for (const auto& batch : read_epoch(batches)) {
    largest = std::max(largest, padded({batch}, sizes));
    examples += std::ssize(batch);
  }
  BOOST_TEST(examples == 500);
  BOOST_TEST((largest <= 100 && largest > 80));
  Batches alone({{5, 5}, {5, 5}}, {.max_tokens = 3});
  BOOST_TEST(alone.count() == 2);
}

BOOST_AUTO_TEST_CASE(wrong_use) {
  BOOST_CHECK_EXCEPTION(Batches({}), Error, says("batches: got no examples, expected at least one"));
  BOOST_CHECK_EXCEPTION(Batches(lengths(3), {.batch_size = 0}), Error,
                        says("batches: got batch_size 0, expected at least 1"));
  BOOST_CHECK_EXCEPTION(Batches(lengths(3), {.max_tokens = -1}), Error,
                        says("batches: got max_tokens -1, expected at least 1"));
  BOOST_CHECK_EXCEPTION(Batches(lengths(3), {.pool = 0}), Error,
                        says("batches: got pool 0, expected at least 1"));
  Batches batches(lengths(30), {.batch_size = 8});
  BOOST_CHECK_EXCEPTION(batches.seek(2, 5), Error,
                        says("batches: got index 5 in epoch 2, expected at most 4"));
  BOOST_CHECK_EXCEPTION(batches.seek(-1, 0), Error,
                        says("batches: got epoch -1, index 0, expected both at least 0"));
  BOOST_TEST(!batches.next().empty());
}

BOOST_AUTO_TEST_SUITE_END()
