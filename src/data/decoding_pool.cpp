#include "decoding_pool.h"

#include <algorithm>
#include <cstring>
#include <exception>

namespace elbo::detail {

DecodingPool::DecodingPool(const Options& options, Decode decode) : options_(options), decode_(std::move(decode)) {
  // Pages come when they are written.
  cache_ = std::make_unique_for_overwrite<uint8_t[]>(static_cast<size_t>(options.cached * options.row_bytes));
  in_cache_.assign(static_cast<size_t>(options.cached), false);
  for (int64_t i = 0; i < options.num_workers; ++i) workers_.emplace_back([this] { work(); });
}

DecodingPool::~DecodingPool() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  queued_.notify_all();
  for (auto& worker : workers_) worker.join();
}

std::span<uint8_t> DecodingPool::cache_of(int64_t row) const {
  return {cache_.get() + row * options_.row_bytes, static_cast<size_t>(options_.row_bytes)};
}

void DecodingPool::prefetch(std::span<const int64_t> rows) {
  const std::lock_guard lock(mutex_);
  for (const int64_t row : rows) {
    if (is_cached(row) || entries_.contains(row)) continue;
    while (static_cast<int64_t>(entries_.size()) >= options_.most_waiting && !finished_.empty()) {
      const auto oldest = entries_.find(finished_.front());
      finished_.pop_front();
      if (oldest != entries_.end() && oldest->second.progress == Progress::made) entries_.erase(oldest);
    }
    if (static_cast<int64_t>(entries_.size()) >= options_.most_waiting) break;
    entries_.try_emplace(row);
    queue_.push_back(row);
  }
  queued_.notify_all();
}

void DecodingPool::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    queued_.wait(lock, [this] { return stop_ || !queue_.empty(); });
    if (stop_) return;
    const int64_t row = queue_.front();
    queue_.pop_front();
    const auto entry = entries_.find(row);
    if (entry == entries_.end() || entry->second.progress != Progress::queued) continue;  // the caller took it on
    make(lock, row);
  }
}

void DecodingPool::make(std::unique_lock<std::mutex>& lock, int64_t row) {
  entries_.at(row).progress = Progress::running;
  lock.unlock();
  const bool kept = row < options_.cached;
  std::vector<uint8_t> bytes;
  std::string problem;
  try {
    if (!kept) bytes.resize(static_cast<size_t>(options_.row_bytes));
    decode_(row, kept ? cache_of(row) : std::span(bytes));
  } catch (const std::exception& error) {
    problem = error.what();
    if (problem.empty()) problem = "can't be decoded";
  }
  lock.lock();
  Entry& entry = entries_.at(row);
  entry = {.progress = Progress::made, .bytes = std::move(bytes), .problem = std::move(problem)};
  if (kept && entry.problem.empty()) {
    in_cache_[static_cast<size_t>(row)] = true;
    entries_.erase(row);
  } else {
    const auto is_gone = [this](int64_t made) { return !entries_.contains(made); };
    if (static_cast<int64_t>(finished_.size()) > 2 * options_.most_waiting) std::erase_if(finished_, is_gone);
    finished_.push_back(row);
  }
  made_.notify_all();
}

std::string DecodingPool::take_one(int64_t row, std::span<uint8_t> out) {
  std::unique_lock lock(mutex_);
  while (!is_cached(row)) {
    const auto [found, is_new] = entries_.try_emplace(row);
    if (found->second.progress == Progress::queued) {
      make(lock, row);
    } else if (found->second.progress == Progress::running) {
      made_.wait(lock);
    } else {
      Entry entry = std::move(found->second);
      entries_.erase(found);
      lock.unlock();
      if (entry.problem.empty()) std::memcpy(out.data(), entry.bytes.data(), out.size());
      return std::move(entry.problem);
    }
  }
  lock.unlock();  // what is in the cache never changes again
  std::memcpy(out.data(), cache_of(row).data(), out.size());
  return {};
}

std::vector<std::pair<size_t, std::string>> DecodingPool::take(std::span<const int64_t> rows, std::span<uint8_t> out) {
  prefetch(rows);
  std::vector<std::pair<size_t, std::string>> failed;
  const auto row_bytes = static_cast<size_t>(options_.row_bytes);
  for (size_t i = 0; i < rows.size(); ++i) {
    auto problem = take_one(rows[i], out.subspan(i * row_bytes, row_bytes));
    if (!problem.empty()) failed.emplace_back(i, std::move(problem));
  }
  return failed;
}

int64_t DecodingPool::num_waiting() const {
  const std::lock_guard lock(mutex_);
  return static_cast<int64_t>(entries_.size());
}

}  // namespace elbo::detail
