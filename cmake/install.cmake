# cmake --install BUILD --prefix P: library, headers under include/tapegrad, CMake package and pkg-config
# file. The prefix may be moved afterwards.
include(CMakePackageConfigHelpers)

install(TARGETS tapegrad EXPORT tapegradTargets)
foreach(room autograd nn optim)
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/${room} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tapegrad
    FILES_MATCHING PATTERN "*.h")
endforeach()
install(FILES ${TAPEGRAD_UMBRELLAS} DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tapegrad)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tapegrad)
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/tapegradConfig.cmake.in
  ${PROJECT_BINARY_DIR}/package/tapegradConfig.cmake INSTALL_DESTINATION ${package})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/package/tapegradConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(EXPORT tapegradTargets NAMESPACE tapegrad:: DESTINATION ${package})
install(FILES ${PROJECT_BINARY_DIR}/package/tapegradConfig.cmake
  ${PROJECT_BINARY_DIR}/package/tapegradConfigVersion.cmake DESTINATION ${package})

file(RELATIVE_PATH TAPEGRAD_PC_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" TAPEGRAD_PC_PREFIX "${TAPEGRAD_PC_PREFIX}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/tapegrad.pc.in ${PROJECT_BINARY_DIR}/package/tapegrad.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/package/tapegrad.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
