#pragma once
#include <sys/types.h>

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace elbo {

/// This program, started once more with other words: it dies when its parent does, whatever kills that, gets no signals from the
/// terminal, and what it prints goes to the end of a log.
class Child {
 public:
  /// `threads` also stands in the environment, for libraries that ask there. Throws: UsageError when it can't be started.
  Child(const std::vector<std::string>& words, const std::filesystem::path& log, int64_t threads);
  ~Child();
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  /// How it ended (128 + N after signal N, as shells have it), or nothing while it runs.
  std::optional<int> poll();
  /// Asks it to end.
  void terminate();

 private:
  pid_t process_ = -1;
  std::optional<int> exit_code_ = {};
};

}  // namespace elbo
