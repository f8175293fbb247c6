#include "child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "elbo/base/error.h"

namespace elbo {
namespace {

/// The environment with other numbers of threads.
std::vector<std::string> environment(int64_t threads) {
  std::vector<std::string> all = {"OMP_NUM_THREADS=" + std::to_string(threads), "MKL_NUM_THREADS=" + std::to_string(threads)};
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string variable = *entry;
    if (!variable.starts_with("OMP_NUM_THREADS=") && !variable.starts_with("MKL_NUM_THREADS=")) all.push_back(variable);
  }
  return all;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> all;
  for (auto& text : texts) all.push_back(text.data());
  all.push_back(nullptr);
  return all;
}

}  // namespace

Child::Child(const std::vector<std::string>& words, const std::filesystem::path& log, int64_t threads) {
  std::vector<std::string> arguments = {"elbo"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  auto variables = environment(threads);
  const auto argv = pointers(arguments), envp = pointers(variables);
  const int output = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (output < 0) throw UsageError("cannot write " + log.string() + ": " + std::strerror(errno));
  const int input = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const pid_t parent = ::getpid();
  process_ = ::fork();
  if (process_ == 0) {  // only calls that are safe after a fork
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127);
    ::setpgid(0, 0);
    ::signal(SIGINT, SIG_DFL);
    ::signal(SIGTERM, SIG_DFL);
    ::dup2(input, STDIN_FILENO);
    ::dup2(output, STDOUT_FILENO);
    ::dup2(output, STDERR_FILENO);
    ::execve("/proc/self/exe", argv.data(), envp.data());
    ::_exit(127);
  }
  const int problem = errno;
  ::close(output);
  ::close(input);
  if (process_ < 0) throw UsageError(std::string("cannot start another process: ") + std::strerror(problem));
}

Child::~Child() {
  if (process_ < 0 || exit_code_) return;
  ::kill(process_, SIGKILL);
  ::waitpid(process_, nullptr, 0);
}

std::optional<int> Child::poll() {
  constexpr int kSignalled = 128;
  if (exit_code_) return exit_code_;
  int status = 0;
  if (::waitpid(process_, &status, WNOHANG) != process_) return std::nullopt;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : kSignalled + WTERMSIG(status);
  return exit_code_;
}

void Child::terminate() {
  if (!exit_code_) ::kill(process_, SIGTERM);
}

}  // namespace elbo
