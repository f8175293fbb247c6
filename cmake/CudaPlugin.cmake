# libelbo_cuda.so: kernels (.cu, raw pointers, no torch header) and what needs LibTorch's CUDA headers (.cpp). The program
# loads it when a CUDA device is asked for; without nvcc it is not built and nothing else changes.
#
# nvcc runs by a rule of our own, not as CMake's CUDA language: Debian's CMake does not know nvcc 13, and CMake's check of
# the compiler wants a whole toolkit, which PyPI's nvcc is not.
file(GLOB cuda_kernels CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/ops/cuda_plugin/*.cu)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/src/ops/cuda_plugin/*.cpp)
if(NOT cuda_sources)
  return()
endif()

# -DELBO_CUDA, else the environment, else what set-up was told.
set(cuda_mode ${ELBO_CUDA})
if(cuda_mode STREQUAL AUTO AND DEFINED ENV{ELBO_CUDA})
  set(cuda_mode $ENV{ELBO_CUDA})
elseif(cuda_mode STREQUAL AUTO AND ELBO_CUDA_SETUP)
  set(cuda_mode ${ELBO_CUDA_SETUP})
endif()
if(cuda_mode STREQUAL OFF)
  message(STATUS "CUDA plugin: left out (ELBO_CUDA=OFF)")
  file(REMOVE ${CMAKE_BINARY_DIR}/libelbo_cuda.so)  # of an earlier build: the program would load it
  return()
endif()

# Sets cuda_problem, or nvcc, cuda_runtime_library and cuda_include_directories.
function(elbo_find_cuda)
  if(NOT EXISTS ${ELBO_LIBTORCH_ROOT}/lib/libtorch_cuda.so)
    set(cuda_problem "this LibTorch is built without CUDA" PARENT_SCOPE)
    return()
  endif()
  get_filename_component(site ${ELBO_LIBTORCH_ROOT} DIRECTORY)  # wheels put NVIDIA's libraries beside torch

  file(GLOB pypi ${site}/nvidia/cu*/bin ${PROJECT_SOURCE_DIR}/.venv/lib/python3*/site-packages/nvidia/cu*/bin)
  find_program(ELBO_NVCC nvcc HINTS $ENV{CUDA_HOME}/bin PATHS /usr/local/cuda/bin ${pypi})
  if(ELBO_NVCC)
    execute_process(COMMAND ${ELBO_NVCC} --version OUTPUT_VARIABLE version ERROR_QUIET)
  endif()
  if(NOT version MATCHES "release ([0-9]+)\\.([0-9]+)")
    set(cuda_problem "there is no nvcc that runs" PARENT_SCOPE)
    return()
  endif()
  set(major ${CMAKE_MATCH_1})
  set(cuda_version ${major}.${CMAKE_MATCH_2} PARENT_SCOPE)

  # The plugin must share LibTorch's own CUDA runtime: same major version, same library.
  execute_process(COMMAND ${CMAKE_READELF} -d ${ELBO_LIBTORCH_ROOT}/lib/libc10_cuda.so OUTPUT_VARIABLE needed)
  if(NOT needed MATCHES "\\[(libcudart[^]]*\\.so\\.([0-9]+)[^]]*)\\]")
    set(cuda_problem "LibTorch's CUDA runtime is not a shared library" PARENT_SCOPE)
    return()
  endif()
  set(runtime_name ${CMAKE_MATCH_1})
  if(NOT CMAKE_MATCH_2 EQUAL major)
    set(cuda_problem "nvcc is of CUDA ${major}, LibTorch is built with CUDA ${CMAKE_MATCH_2}" PARENT_SCOPE)
    return()
  endif()
  file(REAL_PATH ${ELBO_NVCC} nvcc)
  get_filename_component(toolkit ${nvcc}/../.. ABSOLUTE)
  if(NOT EXISTS ${toolkit}/nvvm AND EXISTS /usr/local/cuda/nvvm)  # nvcc is a script that calls the real one
    set(toolkit /usr/local/cuda)
  endif()
  file(GLOB wheel_libraries ${site}/nvidia/*/lib)
  find_library(ELBO_CUDA_RUNTIME ${runtime_name} NO_DEFAULT_PATH
    PATHS ${ELBO_LIBTORCH_ROOT}/lib ${wheel_libraries} ${toolkit}/lib64 ${toolkit}/lib)
  file(GLOB wheel_headers ${site}/nvidia/*/include)
  set(headers "")
  foreach(directory ${wheel_headers} ${toolkit}/include)
    if(EXISTS ${directory})
      list(APPEND headers ${directory})
    endif()
  endforeach()
  find_path(ELBO_CUBLAS_HEADER cublas_v2.h NO_DEFAULT_PATH PATHS ${headers})
  find_path(ELBO_CUDART_HEADER cuda_runtime_api.h NO_DEFAULT_PATH PATHS ${headers})
  if(NOT ELBO_CUDA_RUNTIME OR NOT ELBO_CUBLAS_HEADER OR NOT ELBO_CUDART_HEADER)
    set(cuda_problem "${runtime_name}, cuda_runtime_api.h or cublas_v2.h is in none of ${ELBO_LIBTORCH_ROOT}, ${site}/nvidia, ${toolkit}"
      PARENT_SCOPE)
    return()
  endif()
  set(nvcc_include_directories "" PARENT_SCOPE)  # a whole toolkit finds its own, and two toolkits' headers do not mix
  if(NOT EXISTS ${toolkit}/include/cuda_runtime.h)
    set(nvcc_include_directories ${headers} PARENT_SCOPE)
  endif()
  set(cuda_include_directories ${headers} PARENT_SCOPE)
  set(cuda_problem "" PARENT_SCOPE)
endfunction()

elbo_find_cuda()
if(cuda_problem AND cuda_mode STREQUAL ON)
  message(FATAL_ERROR "ELBO_CUDA=ON, but ${cuda_problem}. scripts/setup.sh finds or installs nvcc.")
elseif(cuda_problem)
  message(STATUS "CUDA plugin: left out, ${cuda_problem}")
  file(REMOVE ${CMAKE_BINARY_DIR}/libelbo_cuda.so)
  return()
endif()

# Architectures as PyTorch spells them ("8.0;9.0a+PTX"), else as CMake does; the highest also as PTX, for later devices.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)
  if(NOT "$ENV{TORCH_CUDA_ARCH_LIST}" STREQUAL "")
    string(REGEX MATCHALL "[0-9]+\\.[0-9]+[a-z]?" CMAKE_CUDA_ARCHITECTURES "$ENV{TORCH_CUDA_ARCH_LIST}")
    string(REPLACE "." "" CMAKE_CUDA_ARCHITECTURES "${CMAKE_CUDA_ARCHITECTURES}")
  endif()
endif()
set(cuda_targets "")
foreach(architecture ${CMAKE_CUDA_ARCHITECTURES})
  list(APPEND cuda_targets -gencode=arch=compute_${architecture},code=sm_${architecture})
endforeach()
list(GET CMAKE_CUDA_ARCHITECTURES -1 architecture)
list(APPEND cuda_targets -gencode=arch=compute_${architecture},code=compute_${architecture})
message(STATUS "CUDA plugin: nvcc ${cuda_version} at ${ELBO_NVCC}, architectures ${CMAKE_CUDA_ARCHITECTURES}")

set(cuda_includes -I${PROJECT_SOURCE_DIR}/include)
foreach(directory ${nvcc_include_directories})
  list(APPEND cuda_includes -isystem ${directory})
endforeach()
set(cuda_objects "")
foreach(kernel ${cuda_kernels})
  get_filename_component(name ${kernel} NAME)
  set(object ${CMAKE_BINARY_DIR}/cuda_plugin/${name}.o)
  add_custom_command(OUTPUT ${object} DEPENDS ${kernel} DEPFILE ${object}.d VERBATIM COMMENT "nvcc ${name}"
    COMMAND ${CMAKE_COMMAND} -E make_directory ${CMAKE_BINARY_DIR}/cuda_plugin
    COMMAND ${ELBO_NVCC} -std=c++17 -O3 --Werror all-warnings -ccbin ${CMAKE_CXX_COMPILER} -Xcompiler=-fPIC,-fvisibility=hidden,-Wall,-Wextra
            ${cuda_targets} ${cuda_includes} -MD -MF ${object}.d -MT ${object} -c ${kernel} -o ${object})
  list(APPEND cuda_objects ${object})
endforeach()

add_library(elbo_cuda MODULE ${cuda_sources} ${cuda_objects})
set_target_properties(elbo_cuda PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden)  # hence no shared precompiled header
target_include_directories(elbo_cuda SYSTEM PRIVATE ${cuda_include_directories})
target_link_libraries(elbo_cuda PRIVATE elbo_settings elbo::libtorch
  ${ELBO_LIBTORCH_ROOT}/lib/libtorch_cuda.so ${ELBO_LIBTORCH_ROOT}/lib/libc10_cuda.so ${ELBO_CUDA_RUNTIME})
