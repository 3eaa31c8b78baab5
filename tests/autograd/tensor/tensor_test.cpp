#include <tapegrad/autograd/parameter.h>
#include <tapegrad/autograd/tape.h>
#include <tapegrad/autograd/tensor/tensor.h>

#include <tests/support/errors.h>
#include <bit>
#include <boost/test/unit_test.hpp>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tapegrad {

using test::error_of;

BOOST_AUTO_TEST_SUITE(tensor)

BOOST_AUTO_TEST_CASE(braces_of_any_rank_make_tensors) {
  BOOST_TEST(Tensor::of(3).rank() == 0);
  BOOST_TEST(Tensor::of(3).item() == 3);
  BOOST_TEST((Tensor::of({1, 2.5}).shape() == Shape{2}));
  BOOST_TEST((Tensor::of({5}).shape() == Shape{1}));
  BOOST_TEST((Tensor::of({{1, 2}}).shape() == Shape{1, 2}));
  BOOST_TEST((Tensor::of({{1}, {2}, {3}}).shape() == Shape{3, 1}));
  const Tensor x = Tensor::of({{{1, 2}, {3, 4}}, {{5, 6}, {7, 8}}}, DType::f64);
  BOOST_TEST((x.shape() == Shape{2, 2, 2}));
  BOOST_TEST(x.at({1, 0, 1}) == 6);
  BOOST_TEST(Tensor::ids({{4, 7}}).data<Index>()[1] == 7);
  BOOST_TEST(Tensor::of({2, 0, -1}, DType::boolean).to_vector() == std::vector<double>({1, 0, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(error_of([] {
               Tensor::of({{1, 2}, {3}});
             }) == "tensor: nested braces of unequal shapes [2] and [1]");
  BOOST_TEST(error_of([] {
               Tensor::from({1, 2, 3}, {2, 2});
             }) == "tensor: 3 values do not fill shape [2, 2]");
}

BOOST_AUTO_TEST_CASE(eigen_goes_in_and_out) {
  Eigen::MatrixXf m(2, 3);
  m << 1, 2, 3, 4, 5, 6;
  const Tensor a = Tensor::from(m);
  BOOST_TEST((a.shape() == Shape{2, 3}));
  BOOST_TEST((a.dtype() == DType::f32));
  BOOST_TEST(a.at({0, 2}) == 3);
  BOOST_TEST(Tensor::from(m.transpose() * 2).at({2, 0}) == 6);
  BOOST_TEST((Tensor::from(Eigen::VectorXd::Ones(4)).shape() == Shape{4}));
  BOOST_TEST((Tensor::from(Eigen::VectorXd::Ones(4)).dtype() == DType::f64));
  Tensor b({2, 3});
  b.matrix<float>() = m * 10;
  b.array<float>() += 1;
  BOOST_TEST(b.at({1, 1}) == 51);
  BOOST_TEST((Tensor({2, 3, 4}).matrix<float>().rows()) == 6);
}

BOOST_AUTO_TEST_CASE(copies_share_and_clones_own) {
  Tensor a = Tensor::of({1, 2});
  Tensor shared = a, own = a.clone();
  a.data<float>()[0] = 9;
  BOOST_TEST(shared.at({0}) == 9);
  BOOST_TEST(own.at({0}) == 1);
  BOOST_TEST(a.reshaped({2, 1}).at({0, 0}) == 9);
  BOOST_TEST(!identical(a, own));
  own.copy_from(a);
  BOOST_TEST(identical(a, own));
  BOOST_TEST((a.to(DType::f64).dtype() == DType::f64));
  BOOST_TEST(!identical(a, a.to(DType::f64)));
  BOOST_TEST(reinterpret_cast<std::uintptr_t>(a.data<float>()) % 64 == 0u);
}

BOOST_AUTO_TEST_CASE(print_shows_shape_dtype_and_values) {
  BOOST_TEST(fmt::format("{}", Tensor::of({{1, 2.5}, {3, -4}})) == "[2, 2] f32 [[1, 2.5], [3, -4]]");
  BOOST_TEST(fmt::format("{}", Tensor::of(0.1, DType::f64)) == "[] f64 0.1");
  BOOST_TEST(fmt::format("{}", Tensor({0, 2})) == "[0, 2] f32 []");
  BOOST_TEST(fmt::format("{}", Tensor({2, 0})) == "[2, 0] f32 [[], []]");
  BOOST_TEST(fmt::format("{}", Tensor()) == "empty tensor");
  BOOST_TEST(fmt::format("{}", Tensor({20}, DType::i64)) ==
             "[20] i64 [0, 0, 0, 0, 0, 0, 0, 0, …, 0, 0, 0, 0, 0, 0, 0, 0]");
  BOOST_TEST(fmt::format("{}", Tensor::full({2}, std::nan(""))) == "[2] f32 [nan, nan]");
}

BOOST_AUTO_TEST_CASE(mistakes_are_named) {
  Tensor x({2, 3});
  const Tensor& constant = x;
  BOOST_TEST(error_of([&] { constant.data<double>(); }) ==
             "tensor: a f64 view of a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([&] { x.matrix<Index>(); }) == "tensor: a i64 view of a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([&] { x.item(); }) == "item: the tensor must have one element, got shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({0}); }) == "at: 1 indices for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({0, 3}); }) == "at: index 3 of axis 1 is out of range for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.at({-1, 0}); }) == "at: index -1 of axis 0 is out of range for shape [2, 3]");
  BOOST_TEST(error_of([&] { x.reshaped({4}); }) ==
             "reshaped: shape [2, 3] with 6 elements cannot become [4] with 4");
  BOOST_TEST(error_of([&] {
               x.copy_from(Tensor({3, 2}));
             }) == "copy_from: a f32 tensor of shape [3, 2] into a f32 tensor of shape [2, 3]");
  BOOST_TEST(error_of([] { Tensor().to_vector(); }) == "tensor: an empty tensor has no values");
  BOOST_TEST(error_of([] { Tensor().clone(); }) == "tensor: an empty tensor has no values");
}

BOOST_AUTO_TEST_CASE(numbers_that_are_no_indices_throw) {
  BOOST_TEST(error_of([] { Tensor::ids({1, std::nan("")}); }) == "tensor: nan does not fit i64");
  BOOST_TEST(error_of([] { Tensor::of(1e300, DType::f64).to(DType::i64); }) ==
             "tensor: 1e+300 does not fit i64");
  BOOST_TEST(error_of([] { Tensor::of(-0x1p64).to(DType::i64); }) ==
             "tensor: -1.8446744e+19 does not fit i64");
  BOOST_TEST(error_of([] { Tensor({2}, DType::i64).fill(0x1p63); }) ==
             "tensor: 9.223372036854776e+18 does not fit i64");
  BOOST_TEST(Tensor::of(-0x1p63, DType::f64).to(DType::i64).item() == -0x1p63);
}

BOOST_AUTO_TEST_CASE(every_dtype_holds_converts_and_prints) {
  const DType all[] = {DType::f32, DType::f64,  DType::i64, DType::boolean,
                       DType::f16, DType::bf16, DType::i32, DType::u8};
  const std::size_t sizes[] = {4, 8, 8, 1, 2, 2, 4, 1};
  const std::string_view names[] = {"f32", "f64", "i64", "boolean", "f16", "bf16", "i32", "u8"};
  for (std::size_t k = 0; k < std::size(all); ++k) {
    BOOST_TEST_CONTEXT(names[k]) {
      BOOST_TEST(byte_size(all[k]) == sizes[k]);
      Tensor x = Tensor::full({2, 2}, 1, all[k]);
      BOOST_TEST(fmt::format("{}", x) == fmt::format("[2, 2] {} [[1, 1], [1, 1]]", names[k]));
      x.fill(0);
      BOOST_TEST(x.at({1, 1}) == 0);
      for (const DType other : all) {
        const Tensor y = Tensor::of({0, 1}, all[k]).to(other);
        BOOST_TEST((y.dtype() == other));
        BOOST_TEST(y.to_vector() == std::vector<double>({0, 1}), boost::test_tools::per_element());
        BOOST_TEST(identical(y.to(all[k]), Tensor::of({0, 1}, all[k])));
        BOOST_TEST(identical(y, Tensor::of({0, 1}, all[k])) == (other == all[k]));
      }
      BOOST_TEST(Tensor::of(1, all[k]).item() == 1);
      BOOST_TEST(can_compute(all[k]) == (k < 2));
      BOOST_TEST(is_floating(all[k]) == (k < 2 || names[k] == "f16" || names[k] == "bf16"));
    }
  }
  BOOST_TEST((Tensor::of({1, 2}, DType::f16).data<Eigen::half>()[1] == Eigen::half(2)));
  BOOST_TEST((Tensor::of({1, 2}, DType::bf16).data<Eigen::bfloat16>()[1] == Eigen::bfloat16(2)));
  BOOST_TEST(Tensor::of({1, -2}, DType::i32).data<std::int32_t>()[1] == -2);
  BOOST_TEST(int{Tensor::of({1, 255}, DType::u8).data<std::uint8_t>()[1]} == 255);
  BOOST_TEST(int{Tensor::of({0, 5}, DType::boolean).data<std::uint8_t>()[1]} == 1);
  BOOST_TEST(Tensor::of({{0, 255}}, DType::u8).to(DType::boolean).at({0, 1}) == 1);
}

/// Every value of a 16-bit type, and the doubles around the middle between two neighbours.
template <class T>
void check_rounding(DType dtype, double step_below_smallest) {
  const auto value = [](int bits) {
    return static_cast<double>(static_cast<float>(std::bit_cast<T>(static_cast<std::uint16_t>(bits))));
  };
  const auto rounded = [&](double x) {
    return int{std::bit_cast<std::uint16_t>(Tensor::of(x, DType::f64).to(dtype).data<T>()[0])};
  };
  int wrong = 0;
  for (int bits = 0; std::isfinite(value(bits)); ++bits) {
    const double low = value(bits);
    const double high = std::isfinite(value(bits + 1)) ? value(bits + 1) : 2 * low - value(bits - 1);
    const double middle = low + (high - low) / 2;  // exact
    const int even = bits % 2 == 0 ? bits : bits + 1;
    for (const double sign : {1.0, -1.0}) {
      const int negative = sign < 0 ? 0x8000 : 0;
      wrong += rounded(sign * low) != (bits | negative);
      wrong += rounded(sign * middle) != (even | negative);
      wrong += rounded(sign * std::nextafter(middle, 0.0)) != (bits | negative);
      wrong += rounded(sign * std::nextafter(middle, 1e300)) != ((bits + 1) | negative);
    }
    const Tensor single = Tensor::of(low, DType::f32);
    wrong += single.to(dtype).item() != low;
  }
  BOOST_TEST(wrong == 0);
  BOOST_TEST(value(1) == step_below_smallest);
  BOOST_TEST(rounded(std::numeric_limits<double>::infinity()) == rounded(1e300));
  BOOST_TEST(std::isnan(Tensor::of(std::nan(""), DType::f64).to(dtype).item()));
  BOOST_TEST(rounded(1e-300) == 0);
}

BOOST_AUTO_TEST_CASE(half_types_round_once_to_nearest_even) {
  check_rounding<Eigen::half>(DType::f16, 0x1p-24);
  check_rounding<Eigen::bfloat16>(DType::bf16, 0x1p-133);
  // A middle between two bf16 and one more, which f64 cannot tell apart.
  const std::int64_t middle = (std::int64_t{1} << 62) + (std::int64_t{1} << 54);
  const auto rounded = [](std::int64_t v) {
    return Tensor::ids(std::vector<Index>{v}, {}).to(DType::bf16).item();
  };
  BOOST_TEST(rounded(middle) == 0x1p62);
  BOOST_TEST(rounded(middle + 1) == 0x1p62 + 0x1p55);
  BOOST_TEST(rounded(-middle) == -0x1p62);
  BOOST_TEST(rounded(-middle - 1) == -0x1p62 - 0x1p55);
  BOOST_TEST(rounded(-middle + 1) == -0x1p62);
}

BOOST_AUTO_TEST_CASE(numbers_that_do_not_fit_an_integer_throw) {
  const auto made = [](double value, DType dtype) { return error_of([&] { Tensor::of(value, dtype); }); };
  BOOST_TEST(made(256, DType::u8) == "tensor: 256 does not fit u8");
  BOOST_TEST(made(-1, DType::u8) == "tensor: -1 does not fit u8");
  BOOST_TEST(made(0x1p31, DType::i32) == "tensor: 2147483648 does not fit i32");
  BOOST_TEST(made(-0x1p31 - 1, DType::i32) == "tensor: -2147483649 does not fit i32");
  BOOST_TEST(made(std::nan(""), DType::i32) == "tensor: nan does not fit i32");
  BOOST_TEST(error_of([] { Tensor::ids({300}).to(DType::u8); }) == "tensor: 300 does not fit u8");
  BOOST_TEST(error_of([] { Tensor::ids({-0x1p40}).to(DType::i32); }) ==
             "tensor: -1099511627776 does not fit i32");
  BOOST_TEST(error_of([] { Tensor::of(70000, DType::bf16).to(DType::u8); }) ==
             "tensor: 70144 does not fit u8");
  BOOST_TEST(Tensor::of({255.9, -0.9}, DType::u8).to_vector() == std::vector<double>({255, 0}),
             boost::test_tools::per_element());
  BOOST_TEST(Tensor::of(-0x1p31 - 0.5, DType::i32).item() == -0x1p31);
}

BOOST_AUTO_TEST_CASE(storage_types_are_refused_where_numbers_are_computed) {
  Tensor half({2}, DType::f16), bytes({2}, DType::u8);
  BOOST_TEST(error_of([&] { dispatch(half.dtype(), [](auto) {}); }) ==
             "dispatch: arithmetic needs f32 or f64, got f16");
  BOOST_TEST(error_of([] { Tape tape({.dtype = DType::bf16}); }) == "Tape: computes in f32 or f64, got bf16");
  BOOST_TEST(error_of([] { ParameterStore store(0, DType::f16); }) ==
             "parameters: must be f32 or f64, got f16");
  Tape tape;
  BOOST_TEST(
      error_of([&] { tape.constant(half); }) ==
      "constant: a f16 tensor of shape [2] on a tape that computes in f32; convert it with to(DType::f32)");
  BOOST_TEST(error_of([&] { half.data<std::uint8_t>(); }) ==
             "tensor: a boolean view of a f16 tensor of shape [2]");
  BOOST_TEST(error_of([&] { bytes.data<float>(); }) == "tensor: a f32 view of a u8 tensor of shape [2]");
  BOOST_TEST(error_of([&] { bytes.copy_from(Tensor({2}, DType::boolean)); }) ==
             "copy_from: a boolean tensor of shape [2] into a u8 tensor of shape [2]");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
