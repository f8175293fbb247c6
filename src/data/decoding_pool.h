#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace elbo::detail {

/// Rows of bytes that threads make before they are asked for. What a row holds is a function of its number: threads, order and
/// cache change only when it is ready. One thread asks; at most `most_waiting` rows are made ahead, and the rows below `cached`
/// are kept for good once they were made.
class DecodingPool {
 public:
  struct Options {
    int64_t row_bytes = 0;
    int64_t num_workers = 1;
    int64_t cached = 0;
    int64_t most_waiting = 0;
  };
  /// Fills a row; called by several threads at once, throws what is wrong with it.
  using Decode = std::function<void(int64_t row, std::span<uint8_t> out)>;

  DecodingPool(const Options& options, Decode decode);
  ~DecodingPool();
  DecodingPool(const DecodingPool&) = delete;
  DecodingPool& operator=(const DecodingPool&) = delete;

  /// Rows that will be taken soon. Beyond most_waiting they are left out; rows that were made and not taken go first.
  void prefetch(std::span<const int64_t> rows);
  /// The rows one after the other; the caller's thread helps. Returns the places (in `rows`) that failed, with the reason.
  std::vector<std::pair<size_t, std::string>> take(std::span<const int64_t> rows, std::span<uint8_t> out);
  /// Rows made ahead and not taken yet, or being made: for tests of the bound.
  int64_t num_waiting() const;

 private:
  enum class Progress { queued, running, made };
  struct Entry {
    Progress progress = Progress::queued;
    std::vector<uint8_t> bytes = {};  // of a row that isn't cached
    std::string problem = {};
  };

  bool is_cached(int64_t row) const { return row < options_.cached && in_cache_[static_cast<size_t>(row)]; }
  std::span<uint8_t> cache_of(int64_t row) const;
  void work();
  /// Decodes a row that is marked as running; called and left with the lock held.
  void make(std::unique_lock<std::mutex>& lock, int64_t row);
  std::string take_one(int64_t row, std::span<uint8_t> out);

  Options options_;
  Decode decode_;
  mutable std::mutex mutex_ = {};
  std::condition_variable queued_ = {};
  std::condition_variable made_ = {};
  std::unordered_map<int64_t, Entry> entries_ = {};
  std::deque<int64_t> queue_ = {};
  std::deque<int64_t> finished_ = {};  // in the order in which they were made; may name rows that are gone
  std::unique_ptr<uint8_t[]> cache_ = {};
  std::vector<bool> in_cache_ = {};
  bool stop_ = false;
  std::vector<std::thread> workers_ = {};
};

}  // namespace elbo::detail
