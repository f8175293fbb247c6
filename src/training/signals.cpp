#include "elbo/training/signals.h"

#include <signal.h>
#include <unistd.h>

#include <atomic>

namespace elbo {
namespace {

std::atomic<bool> requested = false;
static_assert(std::atomic<bool>::is_always_lock_free);  // or it could not be used in a signal handler
struct sigaction before_interrupt;
struct sigaction before_terminate;

void on_signal(int) {
  if (requested.exchange(true)) ::_exit(130);
  constexpr char kText[] = "\nstopping after this step with a checkpoint; once more ends at once\n";
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, kText, sizeof kText - 1);
}

}  // namespace

SignalScope::SignalScope() {
  clear_stop_request();
  struct sigaction action = {};
  action.sa_handler = on_signal;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  sigaction(SIGINT, &action, &before_interrupt);
  sigaction(SIGTERM, &action, &before_terminate);
}

SignalScope::~SignalScope() {
  sigaction(SIGINT, &before_interrupt, nullptr);
  sigaction(SIGTERM, &before_terminate, nullptr);
}

bool stop_requested() { return requested.load(); }
void request_stop() { requested.store(true); }
void clear_stop_request() { requested.store(false); }

}  // namespace elbo
