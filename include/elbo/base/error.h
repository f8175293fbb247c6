#pragma once
#include <stdexcept>
#include <string>

namespace elbo {

/// Every error of ours: a message that says where, what was got, what was expected and what to do, and the process's exit code.
class Error : public std::runtime_error {
 public:
  Error(const std::string& message, int exit_code) : std::runtime_error(message), exit_code_(exit_code) {}
  int exit_code() const { return exit_code_; }

 private:
  int exit_code_;
};

/// The caller asked for something that does not exist or does not go together.
struct UsageError : Error {
  explicit UsageError(const std::string& message) : Error(message, 1) {}
};
/// A tensor has another shape than the contract states.
struct ShapeError : Error {
  explicit ShapeError(const std::string& message) : Error(message, 1) {}
};
/// A configuration is wrong; the message lists every problem with file and line.
struct ConfigError : Error {
  explicit ConfigError(const std::string& message) : Error(message, 2) {}
};
/// A data file is missing, truncated, mislabelled or hostile; the message has the path and the byte offset.
struct DataError : Error {
  explicit DataError(const std::string& message) : Error(message, 3) {}
};
/// A checkpoint or run folder can't be read, written or continued.
struct CheckpointError : Error {
  explicit CheckpointError(const std::string& message) : Error(message, 4) {}
};
/// A value became non-finite; the message names the term, the parameter and the batch.
struct NumericalError : Error {
  explicit NumericalError(const std::string& message) : Error(message, 5) {}
};
/// The device asked for isn't there or can't do what was asked.
struct DeviceError : Error {
  explicit DeviceError(const std::string& message) : Error(message, 6) {}
};
/// A signal stopped the work after its checkpoint was written.
struct Interrupted : Error {
  explicit Interrupted(const std::string& message) : Error(message, 130) {}
};

}  // namespace elbo
