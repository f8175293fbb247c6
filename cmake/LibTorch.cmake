# elbo::libtorch: torch_cpu and c10 only, made from the torch package's folder. find_package(Torch) of a CUDA wheel fails
# without a toolkit, and linking its CUDA libraries costs every CPU run 0.15 s and 230 MB. Read by our build and, installed beside
# elboConfig.cmake, by the builds of those who use the library.
# Order: ELBO_LIBTORCH, Torch_DIR, CMAKE_PREFIX_PATH, what an installed elbo was built with, the active Python's torch, .venv.
if(TARGET elbo::libtorch)
  return()
endif()

function(elbo_find_libtorch result)
  set(candidates ${ELBO_LIBTORCH})
  foreach(dir ${Torch_DIR} $ENV{Torch_DIR})
    get_filename_component(root ${dir}/../../.. ABSOLUTE)
    list(APPEND candidates ${root} ${dir})
  endforeach()
  string(REPLACE ":" ";" environment_prefixes "$ENV{CMAKE_PREFIX_PATH}")
  list(APPEND candidates ${CMAKE_PREFIX_PATH} ${environment_prefixes} ${ELBO_BUILT_WITH_LIBTORCH})
  foreach(python $ENV{ELBO_PYTHON} python3 ${PROJECT_SOURCE_DIR}/.venv/bin/python3)
    execute_process(
      COMMAND ${python} -c "import importlib.util as u; s = u.find_spec('torch'); print(s.submodule_search_locations[0] if s else '')"
      OUTPUT_VARIABLE found OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
    if(NOT failed AND found)
      list(APPEND candidates ${found})
    endif()
  endforeach()
  foreach(root ${candidates})
    if(EXISTS ${root}/lib/libtorch_cpu.so AND EXISTS ${root}/include/torch/csrc/api/include/torch/torch.h)
      set(${result} ${root} PARENT_SCOPE)
      return()
    endif()
  endforeach()
  message(FATAL_ERROR "No LibTorch found. Run scripts/setup.sh of elbo, or pass -DTorch_DIR=.../share/cmake/Torch. Looked in: ${candidates}")
endfunction()

elbo_find_libtorch(ELBO_LIBTORCH_ROOT)
file(STRINGS ${ELBO_LIBTORCH_ROOT}/include/torch/headeronly/version.h version_lines REGEX "define TORCH_VERSION_(MAJOR|MINOR) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*" "\\1.\\2" ELBO_LIBTORCH_VERSION "${version_lines}")
if(ELBO_LIBTORCH_VERSION VERSION_LESS 2.11)
  message(FATAL_ERROR "LibTorch ${ELBO_LIBTORCH_VERSION} at ${ELBO_LIBTORCH_ROOT} is too old: 2.11 or newer is needed.")
endif()
message(STATUS "LibTorch ${ELBO_LIBTORCH_VERSION} at ${ELBO_LIBTORCH_ROOT}")

foreach(library c10 torch_cpu)
  add_library(elbo::${library} SHARED IMPORTED)
  set_target_properties(elbo::${library} PROPERTIES IMPORTED_LOCATION ${ELBO_LIBTORCH_ROOT}/lib/lib${library}.so)
endforeach()
add_library(elbo::libtorch INTERFACE IMPORTED)
target_include_directories(elbo::libtorch SYSTEM INTERFACE
  ${ELBO_LIBTORCH_ROOT}/include ${ELBO_LIBTORCH_ROOT}/include/torch/csrc/api/include)
# The libraries' own dependencies are found by their run paths.
target_link_options(elbo::libtorch INTERFACE -Wl,--allow-shlib-undefined)
target_link_libraries(elbo::libtorch INTERFACE elbo::torch_cpu elbo::c10)
