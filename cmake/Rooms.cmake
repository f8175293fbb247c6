# elbo_room(NAME [TORCH_FREE] [LINK public-dependencies...] [PRIVATE private-dependencies...])
# One folder src/NAME becomes the static library elbo_NAME; tests/NAME becomes test_NAME, a unity build of its files.
add_library(elbo_build_options INTERFACE)  # of our own build alone
target_compile_options(elbo_build_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Werror -Winvalid-pch>
  # GCC 12's false alarms when it optimises: overlaps inside its own std::string (its bug 105651), the value of an empty
  # std::optional, and more of that inside <regex> under the sanitizers.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict -Wno-maybe-uninitialized>)
if(ELBO_SANITIZE)
  target_compile_options(elbo_build_options INTERFACE -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(elbo_build_options INTERFACE -fsanitize=address,undefined)
endif()
add_library(elbo_settings INTERFACE)
target_include_directories(elbo_settings INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:include>)
target_compile_features(elbo_settings INTERFACE cxx_std_20)
target_link_libraries(elbo_settings INTERFACE $<BUILD_INTERFACE:elbo_build_options>)

if(ELBO_TORCH AND ELBO_PCH)
  # One precompiled header, LibTorch and nothing of ours. Position-independent code stays unset everywhere:
  # with it an executable would silently compile without the library's precompiled header.
  file(GENERATE OUTPUT ${CMAKE_BINARY_DIR}/elbo_pch.cpp CONTENT "")
  add_library(elbo_pch OBJECT ${CMAKE_BINARY_DIR}/elbo_pch.cpp)
  target_precompile_headers(elbo_pch PRIVATE <torch/torch.h>)
  target_link_libraries(elbo_pch PRIVATE elbo_settings elbo::libtorch)
endif()

function(elbo_reuse_pch target)
  if(ELBO_PCH)
    target_precompile_headers(${target} REUSE_FROM elbo_pch)
  endif()
endfunction()

set_property(GLOBAL PROPERTY ELBO_ROOMS "")

function(elbo_room name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "TORCH_FREE" "" "LINK;PRIVATE")
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/${name}/*.cpp ${PROJECT_SOURCE_DIR}/src/${name}/*.S)
  list(FILTER sources EXCLUDE REGEX "/cuda_plugin/")
  set(assembly ${sources})
  list(FILTER assembly INCLUDE REGEX "[.]S$")
  foreach(file ${assembly})  # X.S embeds X.bin, which lies beside it
    cmake_path(GET file PARENT_PATH folder)
    string(REGEX REPLACE "[.]S$" ".bin" embedded ${file})
    set_source_files_properties(${file} PROPERTIES INCLUDE_DIRECTORIES ${folder} OBJECT_DEPENDS ${embedded})
  endforeach()
  set(target elbo_${name})
  if(NOT sources)  # a room of headers only, or not yet furnished
    add_library(${target} INTERFACE)
    target_link_libraries(${target} INTERFACE elbo_settings ${arg_LINK} ${arg_PRIVATE})
    if(NOT arg_TORCH_FREE)
      target_link_libraries(${target} INTERFACE elbo::libtorch)
    endif()
  else()
    add_library(${target} STATIC ${sources})
    target_link_libraries(${target} PUBLIC elbo_settings ${arg_LINK} PRIVATE ${arg_PRIVATE})
    if(NOT arg_TORCH_FREE)
      target_link_libraries(${target} PUBLIC elbo::libtorch)
      elbo_reuse_pch(${target})
      # A third of the compile time where nobody edits; torch-free files are cheap one by one.
      set_target_properties(${target} PROPERTIES UNITY_BUILD ${ELBO_UNITY})
    endif()
  endif()
  set_target_properties(${target} PROPERTIES EXPORT_NAME ${name})
  set_property(GLOBAL APPEND PROPERTY ELBO_ROOMS ${name})
  set_property(GLOBAL PROPERTY ELBO_TORCH_FREE_${name} ${arg_TORCH_FREE})
endfunction()
