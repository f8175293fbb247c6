# Debian's libzip-config.cmake demands command-line tools we do not need. Read by our build and by the installed package.
if(NOT TARGET libzip::zip)
  find_path(ELBO_ZIP_INCLUDE zip.h REQUIRED)
  find_library(ELBO_ZIP_LIBRARY zip REQUIRED)
  add_library(libzip::zip UNKNOWN IMPORTED)
  set_target_properties(libzip::zip PROPERTIES IMPORTED_LOCATION ${ELBO_ZIP_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${ELBO_ZIP_INCLUDE})
endif()
