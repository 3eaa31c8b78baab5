#include <tapegrad/nn/io/safetensors.h>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tests/support/errors.h>
#include <tests/support/program.h>
#include <tests/support/scratch.h>
#include <algorithm>
#include <atomic>
#include <boost/test/unit_test.hpp>
#include <csignal>
#include <filesystem>
#include <thread>

namespace tapegrad {
namespace {

using namespace std::string_literals;
using test::contents;
using test::error_of;
using test::ScratchFolder;

/// Most memory that this process ever had, in bytes.
std::size_t peak_memory() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::size_t>(usage.ru_maxrss) * 1024;
}

/// For its lifetime no file grows beyond `bytes`, as on a full disk.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::getrlimit(RLIMIT_FSIZE, &old_);
    const rlimit limit{bytes, old_.rlim_max};
    handler_ = std::signal(SIGXFSZ, SIG_IGN);
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &old_);
    std::signal(SIGXFSZ, handler_);
  }
  FileSizeLimit(const FileSizeLimit&) = delete;
  FileSizeLimit& operator=(const FileSizeLimit&) = delete;

 private:
  rlimit old_{};
  void (*handler_)(int) = nullptr;
};

}  // namespace

BOOST_AUTO_TEST_SUITE(files)

BOOST_AUTO_TEST_CASE(files_that_cannot_be_read) {
  const ScratchFolder folder;
  const auto read = [&](const std::string& name) {
    return folder.without(error_of([&] { load_safetensors(folder / name); }));
  };
  BOOST_TEST(read("none") == "none: cannot be opened: No such file or directory");
  std::filesystem::create_directory(folder / "folder");
  BOOST_TEST(read("folder") == "folder: not a regular file");
  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  BOOST_TEST(read("pipe") == "pipe: not a regular file");  // and does not wait for a writer
  BOOST_TEST(error_of([] { load_safetensors("/dev/zero"); }) == "/dev/zero: not a regular file");
  folder.write("big", std::string(11, '\0'));
  BOOST_TEST(folder.without(error_of([&] { read_file(folder / "big", 10); })) ==
             "big: 11 bytes, at most 10 are accepted");
  BOOST_TEST(read_file(folder / "big", 11).size() == 11u);
}

BOOST_AUTO_TEST_CASE(writing_replaces_the_whole_file_or_nothing) {
  const ScratchFolder folder;
  const auto entries = [&](const std::string& path) {
    std::vector<std::string> names;
    for (const auto& item : std::filesystem::directory_iterator(path))
      names.push_back(item.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  };
  write_file(folder / "f", "a long first content");
  write_file(folder / "f", "second");
  BOOST_TEST(contents(folder / "f") == "second");
  BOOST_TEST(entries(folder / "") == std::vector<std::string>{"f"}, boost::test_tools::per_element());
  const auto fails = [&](const std::string& name) {
    return folder.without(error_of([&] { write_file(folder / name, "x"); }));
  };
  BOOST_CHECK_THROW(write_file(folder / "none/f", "x"), SystemError);  // an error of the system
  BOOST_TEST(fails("none/f") == "none/f: cannot be created: No such file or directory");
  std::filesystem::create_directory(folder / "d");
  BOOST_TEST(fails("d") == "d: cannot be put in place: Is a directory");
  BOOST_TEST(entries(folder / "") == (std::vector<std::string>{"d", "f"}), boost::test_tools::per_element());

  // Nothing is written when the content itself is refused.
  const auto refused = [&](const TensorFile& file) {
    return error_of([&] { save_safetensors(folder / "f", file); });
  };
  BOOST_TEST(refused({{{"__metadata__", Tensor::of(1)}}, {}}) ==
             "save_safetensors: '__metadata__' cannot be a tensor's name");
  BOOST_TEST(refused({{{"a\0b"s, Tensor::of(1)}}, {}}) ==
             "save_safetensors: the name \"a\\u{0000}b\" is not UTF-8 or holds a NUL character");
  BOOST_TEST(refused({{{"\xff", Tensor::of(1)}}, {}}) ==
             "save_safetensors: the name \"\\xFF\" is not UTF-8 or holds a NUL character");
  BOOST_TEST(refused({{{"a", Tensor()}}, {}}) == "save_safetensors: tensor 'a' is empty");
  BOOST_TEST(refused({{}, {{"k", "\xff"}}}) == "save_safetensors: metadata \"k\" is not UTF-8");
  BOOST_TEST(contents(folder / "f") == "second");
}

BOOST_AUTO_TEST_CASE(links_and_devices_stay_what_they_are) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "d");
  folder.write("d/f", "old");
  std::filesystem::create_symlink("d/f", folder / "link");
  write_file(folder / "link", "new");
  BOOST_TEST(std::filesystem::is_symlink(folder / "link"));
  BOOST_TEST(contents(folder / "d/f") == "new");
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder / "d"), {}) == 1);

  BOOST_REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  std::filesystem::create_symlink("pipe", folder / "to_pipe");
  for (const char* name : {"pipe", "to_pipe"})
    BOOST_TEST(folder.without(error_of([&] { write_file(folder / name, "x"); })) ==
               name + ": cannot be written: not a regular file"s);
  BOOST_TEST(std::filesystem::is_fifo(folder / "pipe"));
}

BOOST_AUTO_TEST_CASE(a_full_disk_leaves_the_older_file) {
  const ScratchFolder folder;
  const std::string path = folder.write("f", "old");
  const TensorFile file{{{"a", Tensor({1000})}, {"b", Tensor({1000})}}, {}};
  std::string error;
  {
    const FileSizeLimit limit(5000);  // in the middle of the second tensor
    error = error_of([&] { save_safetensors(path, file); });
  }
  BOOST_TEST(folder.without(error) == "f: cannot be written: File too large");
  BOOST_TEST(contents(path) == "old");
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder / ""), {}) == 1);
}

BOOST_AUTO_TEST_CASE(an_unwritable_folder_keeps_its_file) {
  const ScratchFolder folder;
  std::filesystem::create_directory(folder / "d");
  folder.write("d/f", "old");
  std::filesystem::permissions(folder / "d",
                               std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
  if (::geteuid() != 0) {  // no folder is closed to root
    BOOST_TEST(folder.without(error_of([&] { write_file(folder / "d/f", "new"); })) ==
               "d/f: cannot be created: Permission denied");
  }
  BOOST_TEST(contents(folder / "d/f") == "old");
  std::filesystem::permissions(folder / "d", std::filesystem::perms::owner_all);
  // For root too: there is no room for the temporary file's name.
  const std::string name(250, 'f');
  folder.write(name, "old");
  BOOST_TEST(folder.without(error_of([&] { write_file(folder / name, "new"); })) ==
             name + ": cannot be created: File name too long");
  BOOST_TEST(contents(folder / name) == "old");
  BOOST_TEST(contents(folder / "d/f") == "old");
}

BOOST_AUTO_TEST_CASE(threads_that_save_one_path_leave_one_whole_file) {
  const ScratchFolder folder;
  std::atomic<int> failures = 0;
  {
    std::vector<std::jthread> savers;
    for (const Index values : {1000, 100000})
      savers.emplace_back([&, values] {
        const TensorFile file{{{"a", Tensor({values})}}, {}};
        for (int i = 0; i < 30; ++i) try {
            save_safetensors(folder / "f", file);
            load_safetensors(folder / "f");
          } catch (const std::exception&) {
            ++failures;
          }
      });
  }
  BOOST_TEST(failures == 0);
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(folder / ""), {}) == 1);
}

BOOST_AUTO_TEST_CASE(a_large_file_is_in_memory_once) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they keep freed memory
  const ScratchFolder folder;
  constexpr std::size_t values = 24 << 20, spare = 64 << 20;
  const std::size_t before = peak_memory();
  {
    TensorFile file;
    file.tensors["big"] = Tensor({values}, DType::f32);
    file.tensors["bigger"] = file.tensors["big"];
    save_safetensors(folder / "f", file);
  }
  BOOST_TEST(peak_memory() < before + 4 * values + spare);
  const TensorFile back = load_safetensors(folder / "f");
  BOOST_TEST(back.tensors.size() == 2u);
  BOOST_TEST(peak_memory() < before + 2 * 4 * values + spare);
#endif
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace tapegrad
