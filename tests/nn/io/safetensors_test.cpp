#include <tapegrad/nn/io/safetensors.h>

#include <unistd.h>

#include <tests/support/errors.h>
#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <filesystem>
#include <limits>
#include <optional>

namespace tapegrad {
namespace {

using namespace std::string_literals;
using test::contents;
using test::error_of;
using test::ScratchFolder;

/// A file of this header, with the length prefix that belongs to it or another.
std::string file_of(const std::string& header, const std::string& data = "",
                    std::optional<std::uint64_t> length = {}) {
  std::string bytes;
  for (int i = 0; i < 8; ++i)
    bytes.push_back(static_cast<char>(length.value_or(header.size()) >> (8 * i) & 0xFF));
  return bytes + header + data;
}

/// `1,1,…`
std::string ones(int count) {
  std::string text = "1";
  while (--count > 0) text += ",1";
  return text;
}

std::string zero_bytes(std::size_t count) { return std::string(count, '\0'); }

/// `"name":{…}` of a header.
std::string entry(const std::string& name, const std::string& shape, const std::string& offsets,
                  const std::string& dtype = "F32") {
  return fmt::format("\"{}\":{{\"dtype\":\"{}\",\"shape\":[{}],\"data_offsets\":[{}]}}", name, dtype, shape,
                     offsets);
}
const std::string a = entry("a", "2", "0,8");

/// The error of reading these bytes, without the folder.
std::string verdict(const std::string& bytes) {
  const ScratchFolder folder;
  const std::string path = folder.write("f", bytes);
  try {
    load_safetensors(path);
  } catch (const DataError& error) {  // nothing else may come out of a file
    return folder.without(error.what());
  }
  return "accepted";
}

void check_verdicts(const std::vector<std::pair<std::string, std::string>>& cases) {
  for (const auto& [bytes, expected] : cases) BOOST_TEST(verdict(bytes) == "f: " + expected);
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16)));
  return bytes;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(safetensors)

BOOST_AUTO_TEST_CASE(every_dtype_goes_there_and_back) {
  const ScratchFolder folder;
  TensorFile file;
  file.tensors["single"] = Tensor::of({{1.5, -2}, {1e-30, 4}}, DType::f32);
  file.tensors["double"] = Tensor::of({0.1, -1e300}, DType::f64);
  file.tensors["ids"] = Tensor::ids({{{-1}, {1 << 30}}});
  file.tensors["mask"] = Tensor::of({0, 1, 1}, DType::boolean);
  file.tensors["half"] = Tensor::of({0.1, -65504}, DType::f16);
  file.tensors["brain"] = Tensor::of({0.1, 1e38}, DType::bf16);
  file.tensors["int"] = Tensor::of({-1, 1 << 30}, DType::i32);
  file.tensors["bytes"] = Tensor::of({0, 1, 255}, DType::u8);
  file.tensors["scalar"] = Tensor::full({}, 7, DType::f64);
  file.tensors["nothing"] = Tensor::zeros({0, 3});
  file.tensors["also nothing"] = Tensor::zeros({2, 0}, DType::i64);
  file.tensors[""] = Tensor::of({1});
  file.tensors["../é\n\"\\\x01"] = Tensor::of({2});
  file.metadata = {{"config", "{\"a\": [1]}"}, {"", "é\t"}};
  save_safetensors(folder / "f", file);
  const TensorFile back = load_safetensors(folder / "f");
  BOOST_TEST(back.tensors.size() == file.tensors.size());
  for (const auto& [name, tensor] : file.tensors) BOOST_TEST(identical(back.tensors.at(name), tensor), name);
  BOOST_TEST(back.metadata.at("config") == "{\"a\": [1]}");
  BOOST_TEST(back.metadata.at("") == "é\t");
  BOOST_TEST(back.metadata.at("format") == "pt");
  BOOST_TEST(back.metadata.size() == 3u);
  for (const auto& [name, tensor] : back.tensors)
    BOOST_TEST(reinterpret_cast<std::uintptr_t>(tensor.view().bytes) % 64 == 0u);
  save_safetensors(folder / "g", back);
  BOOST_TEST(contents(folder / "f") == contents(folder / "g"));
}

BOOST_AUTO_TEST_CASE(bytes_are_those_of_the_reference_writer) {
  const ScratchFolder folder;
  save_safetensors(folder / "f", {{{"a", Tensor::of({1, 2})}}, {}});
  const std::string golden = from_hex(
      "58000000000000007b225f5f6d657461646174615f5f223a7b22666f726d6174223a227074227d2c2261223a7b226474797065"
      "223a"
      "22463332222c227368617065223a5b325d2c22646174615f6f666673657473223a5b302c385d7d7d2020200000803f0000"
      "0040");
  BOOST_TEST(contents(folder / "f") == golden);
  // Wider types first, then by name; escapes in lower case; spaces up to a multiple of 8.
  save_safetensors(folder / "f", {{{"b", Tensor::of({1}, DType::boolean)},
                                   {"z", Tensor::zeros({0}, DType::i64)},
                                   {"d", Tensor::of(1)},
                                   {"c\x1f/", Tensor::of(2)},
                                   {"e", Tensor::of(3, DType::f64)}},
                                  {}});
  const std::string bytes = contents(folder / "f");
  const std::string header = "{\"__metadata__\":{\"format\":\"pt\"}," + entry("z", "0", "0,0", "I64") + "," +
                             entry("e", "", "0,8", "F64") + "," + entry("c\\u001f/", "", "8,12") + "," +
                             entry("d", "", "12,16") + "," + entry("b", "1", "16,17", "BOOL") + "}";
  BOOST_TEST(bytes.substr(8, header.size()) == header);
  BOOST_TEST((bytes.size() - 17) % 8 == 0u);
}

std::string golden(const std::string& name) {
  return fmt::format("{}/tests/nn/io/golden/{}.safetensors", TAPEGRAD_SOURCE_DIR, name);
}

BOOST_AUTO_TEST_CASE(files_of_the_reference_are_read_and_written_back_byte_for_byte) {
  const ScratchFolder folder;
  for (const char* name : {"every_dtype", "no_metadata"}) {
    save_safetensors(folder / "f", load_safetensors(golden(name)), {.add_format = false});
    BOOST_TEST(contents(folder / "f") == contents(golden(name)), name);
  }
  const TensorFile file = load_safetensors(golden("every_dtype"));
  const auto check = [&](const std::string& name, DType dtype, const std::vector<double>& values) {
    BOOST_TEST_CONTEXT(name) {
      BOOST_TEST((file.tensors.at(name).dtype() == dtype));
      BOOST_TEST(file.tensors.at(name).to_vector() == values, boost::test_tools::per_element());
    }
  };
  check("float64", DType::f64, {0, 1, 2.5, -3, 65504, 0x1p-24});
  check("float32", DType::f32, {0, 1, 2.5, -3, 65504, 0x1p-24});
  check("float16", DType::f16, {0, 1, 2.5, -3, 65504, 0x1p-24});
  check("bfloat16", DType::bf16, {0, 1, 2.5, -3, 65536, 0x1p-24});
  check("int32", DType::i32, {-0x1p31, 0x1p31 - 1});
  check("uint8", DType::u8, {0, 1, 255});
  check("bool", DType::boolean, {1});
  check("odd é \"\\\n\x01", DType::f16, {});
  BOOST_TEST(file.tensors.at("int64").data<Index>()[0] == std::numeric_limits<Index>::min());
  BOOST_TEST(file.tensors.at("int64").data<Index>()[1] == std::numeric_limits<Index>::max());
  BOOST_TEST(load_safetensors(golden("no_metadata")).metadata.empty());
}

BOOST_AUTO_TEST_CASE(metadata_are_added_only_when_asked_for) {
  const ScratchFolder folder;
  const auto header = [&](const TensorFile& file, const SaveOptions& options) {
    save_safetensors(folder / "f", file, options);
    return contents(folder / "f").substr(8);
  };
  BOOST_TEST(header({}, {}) == R"({"__metadata__":{"format":"pt"}})");
  BOOST_TEST(header({}, {.add_format = false}) == "{}      ");
  BOOST_TEST(header({{}, {{"k", "v"}}}, {.add_format = false}) == R"({"__metadata__":{"k":"v"}}      )");
  const TensorFile empty = load_safetensors(folder.write("g", file_of(R"({"__metadata__":{}})")));
  BOOST_TEST(empty.empty_metadata);
  BOOST_TEST(header(empty, {.add_format = false}) == R"({"__metadata__":{}}     )");
  BOOST_TEST(header({{}, {{"format", "np"}}}, {}) == R"({"__metadata__":{"format":"np"}})");
}

BOOST_AUTO_TEST_CASE(true_is_one) {
  const ScratchFolder folder;
  const std::string header = "{" + entry("b", "3", "0,3", "BOOL") + "," + entry("u", "3", "3,6", "U8") + "}";
  const TensorFile file = load_safetensors(folder.write("f", file_of(header, "\x00\x02\xff\x00\x02\xff"s)));
  BOOST_TEST(file.tensors.at("b").to_vector() == std::vector<double>({0, 1, 1}),
             boost::test_tools::per_element());
  BOOST_TEST(file.tensors.at("u").to_vector() == std::vector<double>({0, 2, 255}),
             boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(odd_files_that_are_valid) {
  const std::string data = zero_bytes(8);
  for (const std::string& bytes : {
           file_of("{}"),
           file_of("{\"__metadata__\":null}"),
           file_of("{\"__metadata__\":{\"k\":\"v\"}}"),
           file_of("{" + a + "} \t\n", data),
           file_of(" {" + a + "}", data),
           file_of("{" + entry("z", "0", "0,0") + "," + entry("y", "0,3", "0,0") + "}"),
           file_of("{" + entry("b", "2", "8,16") + "," + entry("z", "0", "8,8") + "," + a + "}", data + data),
           file_of("{\"a\":{\"x\":[{\"y\":null}],\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
                   data),
           file_of("{\"a\":{\"x\":" + std::string(125, '[') + std::string(125, ']') + "," + a.substr(5) + "}",
                   data),
           file_of("{" + a + "}", std::string(8, '\xff')),
           file_of("{" + entry("a", "1", "0,1", "BOOL") + "}", "\x02"),
           file_of("{" + entry("a", "1,1,1,1,1,1,1,1", "0,4") + "}", zero_bytes(4)),
       })
    BOOST_TEST(verdict(bytes) == "accepted", bytes);
}

BOOST_AUTO_TEST_CASE(wrong_lengths) {
  check_verdicts({
      {"", "0 bytes are too few for a safetensors file"},
      {zero_bytes(7), "7 bytes are too few for a safetensors file"},
      {zero_bytes(8), "byte 8: the JSON ends too early"},
      {file_of("{"), "byte 9: the JSON ends too early"},
      {file_of("{}", "", 3), "a header of 3 bytes in a file of 10"},
      {file_of("{}", "", ~std::uint64_t{0}),
       "a header of 18446744073709551615 bytes, at most 100000000 are accepted"},
      {file_of("{}", "", 100'000'001), "a header of 100000001 bytes, at most 100000000 are accepted"},
      {file_of("{}", "", 100'000'000), "a header of 100000000 bytes in a file of 10"},
      {"\0\0\0\0\0\0\0\x02{}"s, "a header of 144115188075855872 bytes, at most 100000000 are accepted"},
  });
}

BOOST_AUTO_TEST_CASE(headers_that_are_not_json) {
  const std::string data = zero_bytes(8);
  check_verdicts({
      {file_of("[]"), "byte 8: expected '{'"},
      {file_of("\xef\xbb\xbf{" + a + "}", data), "byte 8: expected '{'"},
      {file_of("{" + a + "}\0\0"s, data), "byte 62: more text after the JSON value"},
      {file_of("{" + a + ",}", data), "byte 62: expected '\"'"},
      {file_of("{/*x*/" + a + "}", data), "byte 9: expected '\"'"},
      {file_of("{\"a\x01\":{}}"), "byte 11: a control character in a string"},
      {file_of("{\"\xff\":{}}"), "byte 10: invalid UTF-8 in a string"},
      {file_of("{\"\\ud800\":{}}"), "byte 16: a lone surrogate in a string"},
      {file_of("{\"a\":{\"x\":" + std::string(200, '[') + std::string(200, ']') + "}}"),
       "byte 144: JSON nested deeper than 127 levels"},
  });
}

BOOST_AUTO_TEST_CASE(headers_that_say_nonsense) {
  const std::string data = zero_bytes(8);
  const auto with = [&](const std::string& fields) { return file_of("{\"a\":{" + fields + "}}", data); };
  check_verdicts({
      {file_of("{" + a + "," + a + "}", data), "byte 66: 'a' stands twice"},
      {file_of("{" + a + ",\"\\u0061\":{}}", data), "byte 71: 'a' stands twice"},
      {file_of("{\"__metadata__\":{},\"__metadata__\":{}}"), "byte 42: '__metadata__' stands twice"},
      {file_of("{\"__metadata__\":{\"k\":\"v\",\"k\":\"w\"}}"), "byte 40: metadata key 'k' stands twice"},
      {file_of("{\"__metadata__\":{\"k\":1}}"), "byte 29: expected '\"'"},
      {file_of("{\"__metadata__\":[]}"), "byte 24: expected '{'"},
      {file_of("{\"a\\u0000b\":{}}"), "byte 20: a tensor's name holds a NUL character"},
      {with("\"dtype\":\"F32\",\"dtype\":\"F32\""), "byte 36: field 'dtype' of tensor 'a' stands twice"},
      {with("\"shape\":[2],\"data_offsets\":[0,8]"), "byte 47: tensor 'a' has no dtype"},
      {with("\"dtype\":\"F32\",\"data_offsets\":[0,8]"), "byte 49: tensor 'a' has no shape"},
      {with("\"dtype\":\"F32\",\"shape\":[2]"), "byte 40: tensor 'a' has no data_offsets"},
      {with("\"dtype\":\"F32\",\"shape\":null,\"data_offsets\":[0,8]"), "byte 36: expected '['"},
      {with("\"shape\":[-2]"), "byte 23: expected a non-negative integer"},
      {with("\"shape\":[2.0]"), "byte 24: expected a plain integer"},
      {with("\"shape\":[18446744073709551616]"), "byte 42: an integer that does not fit 64 bits"},
      {with("\"data_offsets\":[0]"), "byte 32: tensor 'a' has 1 data offsets instead of 2"},
      {with("\"data_offsets\":[0,8,9]"), "byte 36: tensor 'a' has 3 data offsets instead of 2"},
      {with("\"data_offsets\":[0,08]"), "byte 34: an integer with a leading zero"},
      {with("\"shape\":[" + ones(4097) + "]"), "byte 8215: tensor 'a' has more than 4096 axes"},
  });
}

BOOST_AUTO_TEST_CASE(tensors_that_cannot_be) {
  const auto of = [](const std::string& entries, std::size_t bytes) {
    return file_of("{" + entries + "}", zero_bytes(bytes));
  };
  const std::string rule = ": the data must have no holes and no overlaps";
  check_verdicts({
      {of(entry("a", "2", "8,0"), 8), "tensor 'a' is at bytes 8 to 0 of 8, expected to begin at 0" + rule},
      {of(entry("a", "2", "0,8"), 4), "tensor 'a' is at bytes 0 to 8 of 4, expected to begin at 0" + rule},
      {of(a + "," + entry("b", "2", "12,20"), 20),
       "tensor 'b' is at bytes 12 to 20 of 20, expected to begin at 8" + rule},
      {of(entry("a", "2", "4,12"), 12),
       "tensor 'a' is at bytes 4 to 12 of 12, expected to begin at 0" + rule},
      {of(entry("b", "2", "4,12") + "," + a, 12),
       "tensor 'b' is at bytes 4 to 12 of 12, expected to begin at 8" + rule},
      {of(entry("b", "2", "0,8") + "," + a, 8),
       "tensor 'b' is at bytes 0 to 8 of 8, expected to begin at 8" + rule},
      {of(a, 9), "1 bytes after the last tensor"},
      {of(entry("a", "2", "0,4"), 4),
       "tensor 'a' of dtype F32 and shape [2] needs 8 bytes, its offsets give 4"},
      {of(entry("a", "", "0,8"), 8),
       "tensor 'a' of dtype F32 and shape [] needs 4 bytes, its offsets give 8"},
      {of(entry("a", "4294967296,4294967296", "0,0"), 0), "the size of tensor 'a' overflows"},
      {of(entry("a", "4611686018427387904", "0,0"), 0), "the size of tensor 'a' overflows"},
      {of(entry("a", "9223372036854775808,9223372036854775808,0", "0,0"), 0),
       "the size of tensor 'a' overflows"},
      {of(entry("a", "0,4611686018427387904,8", "0,0"), 0), "the size of tensor 'a' overflows"},
      {of(entry("a", "1,1,1,1,1,1,1,1,1", "0,4"), 4), "tensor 'a' has 9 axes, at most 8 are supported"},
      {of(entry("a", "2", "0,8", "f32"), 8), "tensor 'a' has dtype f32, which the format does not know"},
      {of(entry("a", "4", "0,8", "I16"), 8),
       "tensor 'a' has dtype I16: valid, but not supported; F64, F32, F16, BF16, I64, I32, U8 and BOOL are"},
      {of(entry("a", "3", "0,8", "BF16"), 8),
       "tensor 'a' of dtype BF16 and shape [3] needs 6 bytes, its offsets give 8"},
      {of(entry("a", "3", "0,1", "F4"), 1),
       "tensor 'a' of dtype F4 and shape [3] does not end at a whole byte"},
      {of(entry("\\u001b[31m", "2", "0,8", "F31"), 8),
       "tensor '\\u{001B}[31m' has dtype F31, which the format does not know"},
  });
}

BOOST_AUTO_TEST_CASE(a_header_tells_of_every_dtype_and_rank) {
  const ScratchFolder folder;
  const std::string header = "{" + entry("half", "2,3", "4,16", "BF16") + "," +
                             entry("deep", "1,1,1,1,1,1,1,1,1", "0,4", "I32") + "," +
                             entry("tiny", "4", "16,18", "F4") + ",\"__metadata__\":{\"k\":\"v\"}}";
  const std::string path = folder.write("f", file_of(header, zero_bytes(18)));
  const SafetensorsHeader found = read_safetensors_header(path);
  BOOST_TEST_REQUIRE(found.tensors.size() == 3u);
  BOOST_TEST(found.tensors[0].name == "deep");
  BOOST_TEST(found.tensors[0].shape.size() == 9u);
  BOOST_TEST(found.tensors[1].dtype == "BF16");
  BOOST_TEST(found.tensors[1].values == 6u);
  BOOST_TEST(found.tensors[2].dtype == "F4");
  BOOST_TEST(found.metadata.at("k") == "v");
  BOOST_TEST(found.data_begin == 8 + header.size());
  BOOST_TEST(verdict(contents(path)) == "f: tensor 'deep' has 9 axes, at most 8 are supported");
  const auto broken = [&](const std::string& bytes) {
    return folder.without(error_of([&] { read_safetensors_header(folder.write("f", bytes)); }));
  };
  BOOST_TEST(broken(file_of(header, zero_bytes(19))) == "f: 1 bytes after the last tensor");
  BOOST_TEST(broken("1234") == "f: 4 bytes are too few for a safetensors file");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
