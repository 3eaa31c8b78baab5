# Compile options of every target of this project. None of them reaches a consumer of the library.

function(tapegrad_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow)
  if(TAPEGRAD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
    # g++ 12 warns falsely of overlaps and overruns in the standard library's string concatenation (GCC bugs
    # 105329, 105651), depending on the lengths of literals such as paths.
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
      target_compile_options(${target} PRIVATE -Wno-error=restrict -Wno-error=array-bounds
                                               -Wno-error=stringop-overflow)
    endif()
  endif()
endfunction()

# tapegrad_target(TARGET): warnings and the language standard of a library, program or test of ours.
function(tapegrad_target target)
  tapegrad_warnings(${target})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# tapegrad_precompile(TARGET HEADERS...): precompiled headers, when they are enabled.
function(tapegrad_precompile target)
  if(TAPEGRAD_PCH)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()
