# Tests in Python's unittest: real files, exit codes, messages. No packages but where said.
find_program(ELBO_TEST_PYTHON NAMES python3 REQUIRED)

# The Python whose torch we build with has numpy too; tests that need them skip elsewhere.
set(ELBO_TORCH_PYTHON ${ELBO_TEST_PYTHON})
cmake_path(SET site_packages NORMALIZE ${ELBO_LIBTORCH_ROOT}/..)
if(site_packages MATCHES "^(.*)/lib/python3[^/]*/site-packages/?$" AND EXISTS ${CMAKE_MATCH_1}/bin/python3)
  set(ELBO_TORCH_PYTHON ${CMAKE_MATCH_1}/bin/python3)
endif()

# elbo_python_test(NAME [FILE file.py] [LABEL fast|slow] [WITH_TORCH] [TIMEOUT seconds] [ENVIRONMENT VAR=value...]):
# FILE (NAME.py) of the calling folder; it finds the sources in ELBO_SOURCE_DIR and the program in ELBO_PROGRAM.
function(elbo_python_test name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "WITH_TORCH" "LABEL;FILE;TIMEOUT" "ENVIRONMENT")
  if(NOT arg_LABEL)
    set(arg_LABEL fast)
  endif()
  if(NOT arg_FILE)
    set(arg_FILE ${name}.py)
  endif()
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 600)
  endif()
  set(python ${ELBO_TEST_PYTHON})
  if(arg_WITH_TORCH)
    set(python ${ELBO_TORCH_PYTHON})
  endif()
  string(REPLACE "\\;" ";" arg_ENVIRONMENT "${arg_ENVIRONMENT}")  # PARSE_ARGV guards the semicolons of a quoted list
  cmake_path(GET CMAKE_CURRENT_SOURCE_DIR FILENAME folder)
  add_test(NAME ${folder}.${name} COMMAND ${python} ${CMAKE_CURRENT_SOURCE_DIR}/${arg_FILE})
  set_tests_properties(${folder}.${name} PROPERTIES LABELS ${arg_LABEL} TIMEOUT ${arg_TIMEOUT} SKIP_RETURN_CODE 77 ENVIRONMENT
    "ELBO_SOURCE_DIR=${PROJECT_SOURCE_DIR};ELBO_PROGRAM=$<TARGET_FILE:elbo_program>;OMP_NUM_THREADS=1;MKL_NUM_THREADS=1;PYTHONDONTWRITEBYTECODE=1;${arg_ENVIRONMENT}")
endfunction()
