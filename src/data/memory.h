#pragma once
#include <cstdint>
#include <string>

namespace elbo::detail {

/// Bytes that this process may still take: what the system has available, and what its control group leaves it. A large number
/// where nobody tells.
int64_t available_host_bytes();
/// "3.2 GB".
std::string bytes_text(int64_t bytes);
/// Throws: DataError "WHERE: …" when so much is needed and not available.
void check_host_memory(const std::string& where, int64_t needed, int64_t available);

}  // namespace elbo::detail
