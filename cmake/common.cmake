# What every target of this project is compiled with. Nothing here reaches a consumer of the library.

function(tapegrad_warnings target)
  target_compile_options(${target} PRIVATE -Wall -Wextra -Wconversion -Wshadow)
  if(TAPEGRAD_WERROR)
    target_compile_options(${target} PRIVATE -Werror)
  endif()
endfunction()

# tapegrad_target(TARGET): warnings and the language standard of a library, program or test of ours.
function(tapegrad_target target)
  tapegrad_warnings(${target})
  target_compile_features(${target} PRIVATE cxx_std_20)
  set_target_properties(${target} PROPERTIES CXX_EXTENSIONS OFF)
endfunction()

# tapegrad_precompile(TARGET HEADERS...): precompiled headers where they are switched on.
function(tapegrad_precompile target)
  if(TAPEGRAD_PCH)
    target_precompile_headers(${target} PRIVATE ${ARGN})
  endif()
endfunction()
