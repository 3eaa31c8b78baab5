#pragma once
#include <tapegrad/autograd/base/error.h>

#include <string>

namespace tapegrad::test {

/// The text of the tapegrad::Error that `body` throws, or "no error".
template <class Body>
std::string error_of(Body&& body) {
  try {
    body();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace tapegrad::test
