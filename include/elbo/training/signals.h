#pragma once

namespace elbo {

/// While it lives, the first SIGINT or SIGTERM only asks training to stop after its step and a checkpoint; a second one ends the
/// process at once with status 130. For the program's main; the library installs none by itself.
class SignalScope {
 public:
  SignalScope();
  ~SignalScope();
  SignalScope(const SignalScope&) = delete;
  SignalScope& operator=(const SignalScope&) = delete;
};

/// Whether training was asked to stop.
bool stop_requested();
/// The same as a signal, from a program.
void request_stop();
/// Forgets an earlier request.
void clear_stop_request();

}  // namespace elbo
