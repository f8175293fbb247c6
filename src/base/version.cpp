#include "elbo/base/version.h"

namespace elbo {

const char* version() { return kVersion; }

}  // namespace elbo
