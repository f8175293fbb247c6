# cmake --install: the program, the libraries, the headers, and what find_package(elbo) reads. Apart from LibTorch and the third-party
# packages, whose places are looked up again, the tree can be moved.
include(CMakePackageConfigHelpers)
set(ELBO_CMAKE_FOLDER lib/cmake/elbo)

get_property(rooms GLOBAL PROPERTY ELBO_ROOMS)
list(TRANSFORM rooms PREPEND elbo_ OUTPUT_VARIABLE room_targets)
set_target_properties(elbo_settings PROPERTIES EXPORT_NAME settings)
install(TARGETS elbo elbo_commands elbo_settings ${room_targets} EXPORT elboTargets ARCHIVE DESTINATION lib)
install(EXPORT elboTargets NAMESPACE elbo:: DESTINATION ${ELBO_CMAKE_FOLDER})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/elbo DESTINATION include FILES_MATCHING PATTERN *.h)

# INSTALL_RPATH_USE_LINK_PATH leaves out what lies below the sources, such as the project's own .venv: LibTorch is named by itself.
set(install_rpath INSTALL_RPATH ${ELBO_LIBTORCH_ROOT}/lib INSTALL_RPATH_USE_LINK_PATH ON)
set_target_properties(elbo_program PROPERTIES ${install_rpath})
install(TARGETS elbo_program RUNTIME DESTINATION bin)
if(TARGET elbo_cuda)  # where the program looks: ../lib beside itself
  set_target_properties(elbo_cuda PROPERTIES ${install_rpath})
  install(TARGETS elbo_cuda LIBRARY DESTINATION lib)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/elboConfig.cmake.in ${CMAKE_BINARY_DIR}/elboConfig.cmake
  INSTALL_DESTINATION ${ELBO_CMAKE_FOLDER} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/elboConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/elboConfig.cmake ${CMAKE_BINARY_DIR}/elboConfigVersion.cmake ${PROJECT_SOURCE_DIR}/cmake/LibTorch.cmake
  ${PROJECT_SOURCE_DIR}/cmake/Libzip.cmake DESTINATION ${ELBO_CMAKE_FOLDER})
install(FILES ${PROJECT_SOURCE_DIR}/LICENSE DESTINATION share/doc/elbo)
