#pragma once

namespace elbo {

/// The version of this library, the same as in CMakeLists.txt (a test compares them).
inline constexpr const char* kVersion = "0.1.0";

/// The version of the library that the program was linked with; kVersion is that of the headers.
const char* version();

}  // namespace elbo
