// Chunks of work, done by whichever threads of XLA's pool are free.

#ifndef JAXREC_GCN_CHUNKS_H_
#define JAXREC_GCN_CHUNKS_H_

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

#include "xla/ffi/api/ffi.h"

namespace jaxrec {

// `Work` has `void Do(int64_t chunk, int64_t num_chunks) const`, safe to call from any thread.
template <typename Work>
class Chunks {
 public:
  Chunks(const Work& work, int64_t num_chunks) : work_(work), num_chunks_(num_chunks) {}

  int64_t num_chunks() const { return num_chunks_; }

  // Works until no chunk is left.
  void Help() {
    int64_t done = 0;
    for (int64_t chunk; (chunk = next_++) < num_chunks_; ++done) work_.Do(chunk, num_chunks_);
    if (done == 0) return;
    std::lock_guard<std::mutex> lock(mutex_);
    num_done_ += done;
    if (num_done_ == num_chunks_) all_done_.notify_all();
  }

  // Every chunk that was taken is being worked on, so this waits for no thread that has not begun.
  void Wait() {
    std::unique_lock<std::mutex> lock(mutex_);
    all_done_.wait(lock, [this] { return num_done_ == num_chunks_; });
  }

 private:
  const Work work_;
  const int64_t num_chunks_;
  std::atomic<int64_t> next_{0};
  std::mutex mutex_;
  std::condition_variable all_done_;
  int64_t num_done_ = 0;
};

template <typename Work>
void InParallel(xla::ffi::ThreadPool& pool, const Work& work, int64_t num_chunks) {
  // Shared with threads that may begin when all is done and this function has returned.
  const auto chunks = std::make_shared<Chunks<Work>>(work, num_chunks);
  const int64_t threads = std::min(pool.num_threads(), num_chunks);
  for (int64_t k = 1; k < threads; ++k) pool.Schedule([chunks] { chunks->Help(); });
  chunks->Help();
  chunks->Wait();
}

}  // namespace jaxrec

#endif  // JAXREC_GCN_CHUNKS_H_
