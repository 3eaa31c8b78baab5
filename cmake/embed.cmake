# cmake -DOUT=FILE -DFUNCTION=NAME -DROOT=DIR -DFILES="a;b" -P embed.cmake: a source file that defines
# tapegrad::embedded::NAME(), with the names of all files, relative to ROOT, and their texts (see
# autograd/inspect/page/embedded.h).
set(entries "")
foreach(file ${FILES})
  file(RELATIVE_PATH name ${ROOT} ${file})
  file(READ ${file} content)
  string(APPEND entries "    {\"${name}\", R\"~~~~(${content})~~~~\"},\n")
endforeach()
file(WRITE ${OUT} "// Written by cmake/embed.cmake.
#include <tapegrad/autograd/inspect/page/embedded.h>

namespace tapegrad::embedded {

std::span<const File> ${FUNCTION}() {
  static constexpr File files[] = {
${entries}  };
  return files;
}

}  // namespace tapegrad::embedded
")
