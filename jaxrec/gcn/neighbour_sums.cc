// Neighbourhood sums on a CPU: out[r] = base[r] + the sum over r's edges of weight * x[sender].
//
// The rows of x that an edge list names lie anywhere in memory, and what an edge costs is waiting
// for its row. So rows are asked for some edges before they are used. A row's edges are added in
// their order, and multiplied and added apart (-ffp-contract=off), as jaxlib's CSR product does
// it: the sums are the same to the bit, with any number of threads.

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "chunks.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kLanes = 8;                  // floats in a vector
constexpr int kAhead = 16;                 // edges between asking for a row and using it
constexpr int64_t kCacheLine = 64;         // bytes
constexpr int64_t kEdgesPerChunk = 16384;  // what a thread takes at a time

using Floats = float __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
using Words = uint32_t __attribute__((vector_size(4 * kLanes), aligned(2), may_alias));

struct Bfloat16 {
  uint16_t bits;  // the upper half of a float's
};

float ToFloat(float x) { return x; }
float ToFloat(Bfloat16 x) {
  const uint32_t bits = uint32_t{x.bits} << 16;
  float value;
  std::memcpy(&value, &bits, sizeof value);
  return value;
}

// The sums of kColumns columns of a row, kept in registers.
template <typename X, int kColumns>
class Sums;

template <int kColumns>
class Sums<float, kColumns> {
 public:
  explicit Sums(int64_t) {}
  static constexpr int64_t columns() { return kColumns; }
  void Add(float weight, const float* x) {
    const auto* part = reinterpret_cast<const Floats*>(x);
#pragma GCC unroll 8
    for (int k = 0; k < kColumns / kLanes; ++k) sums_[k] += weight * part[k];
  }
  void Read(float* row) const { std::memcpy(row, sums_, sizeof sums_); }

 private:
  Floats sums_[kColumns / kLanes] = {};
};

// Two neighbours lie in a word, so even columns are summed apart from odd ones.
template <int kColumns>
class Sums<Bfloat16, kColumns> {
 public:
  explicit Sums(int64_t) {}
  static constexpr int64_t columns() { return kColumns; }
  void Add(float weight, const Bfloat16* x) {
    const auto* part = reinterpret_cast<const Words*>(x);
#pragma GCC unroll 4
    for (int k = 0; k < kPairs; ++k) {
      even_[k] += weight * (Floats)(part[k] << 16);
      odd_[k] += weight * (Floats)(part[k] & 0xffff0000u);
    }
  }
  void Read(float* row) const {
    float even[kColumns / 2], odd[kColumns / 2];
    std::memcpy(even, even_, sizeof even);
    std::memcpy(odd, odd_, sizeof odd);
    for (int k = 0; k < kColumns / 2; ++k) {
      row[2 * k] = even[k];
      row[2 * k + 1] = odd[k];
    }
  }

 private:
  static constexpr int kPairs = kColumns / kLanes / 2;
  Floats even_[kPairs] = {}, odd_[kPairs] = {};
};

// The columns that are left: fewer than the narrowest of the above has.
constexpr int kNarrowest = 2 * kLanes;

template <typename X>
class FewSums {
 public:
  explicit FewSums(int64_t columns) : columns_(columns) {}
  int64_t columns() const { return columns_; }
  void Add(float weight, const X* x) {
    for (int64_t k = 0; k < columns_; ++k) sums_[k] += weight * ToFloat(x[k]);
  }
  void Read(float* row) const { std::copy_n(sums_, columns_, row); }

 private:
  int64_t columns_;
  float sums_[kNarrowest] = {};
};

// What is computed. `base`, `receiving` and `sending` may be null: nothing is added, every row is
// summed, every row of x counts.
template <typename X>
struct Product {
  int64_t num_rows, num_edges, dim;
  const int32_t *offsets, *senders;
  const float* weights;
  const X* x;
  const float* base;
  const bool *receiving, *sending;
  float* out;

  bool Sends(int32_t row) const { return sending == nullptr || sending[row]; }

  // Rows [begin, end), `columns` columns from `column` on.
  template <typename RowSums>
  void Columns(int64_t begin, int64_t end, int64_t column, int64_t columns) const {
    for (int64_t row = begin; row < end; ++row) {
      float* to = out + row * dim + column;
      if (receiving != nullptr && !receiving[row]) {
        std::fill_n(to, columns, 0.0f);
        continue;
      }
      RowSums sums(columns);
      for (int64_t edge = offsets[row]; edge < offsets[row + 1]; ++edge) {
        const int32_t next = senders[std::min(edge + kAhead, num_edges - 1)];
        if (Sends(next)) {
          const char* ahead = reinterpret_cast<const char*>(x + next * dim + column);
          const int64_t bytes = sums.columns() * sizeof(X);
          for (int64_t k = 0; k < bytes; k += kCacheLine) __builtin_prefetch(ahead + k);
        }
        if (Sends(senders[edge])) sums.Add(weights[edge], x + senders[edge] * dim + column);
      }
      sums.Read(to);
      if (base != nullptr) {
        const float* from = base + row * dim + column;
        for (int64_t k = 0; k < sums.columns(); ++k) to[k] = from[k] + to[k];
      }
    }
  }

  void Rows(int64_t begin, int64_t end) const {
    int64_t column = 0;
    for (; column + 64 <= dim; column += 64) Columns<Sums<X, 64>>(begin, end, column, 64);
    if (column + 32 <= dim) {
      Columns<Sums<X, 32>>(begin, end, column, 32);
      column += 32;
    }
    if (column + 16 <= dim) {
      Columns<Sums<X, 16>>(begin, end, column, 16);
      column += 16;
    }
    if (column < dim) Columns<FewSums<X>>(begin, end, column, dim - column);
  }

  void Do(int64_t chunk, int64_t num_chunks) const {
    Rows(Cut(chunk, num_chunks), Cut(chunk + 1, num_chunks));
  }

  int64_t NumChunks() const {
    return std::max<int64_t>(1, (num_edges + num_rows) / kEdgesPerChunk);
  }

  // The row where a chunk begins: before it lies its share of all edges and rows.
  int64_t Cut(int64_t chunk, int64_t num_chunks) const {
    if (chunk == num_chunks) return num_rows;
    const int64_t work = num_edges + num_rows;
    const int64_t before = work / num_chunks * chunk + work % num_chunks * chunk / num_chunks;
    int64_t low = 0, high = num_rows;
    while (low < high) {
      const int64_t middle = (low + high) / 2;
      if (offsets[middle] + middle < before) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    return low;
  }
};

template <typename Buffer>
auto DataOrNull(Buffer& buffer) -> decltype(buffer.typed_data()) {
  return buffer.element_count() == 0 ? nullptr : buffer.typed_data();
}

ffi::Error NeighbourSums(ffi::ThreadPool pool, ffi::BufferR1<ffi::S32> offsets,
                         ffi::BufferR1<ffi::S32> senders, ffi::BufferR1<ffi::F32> weights,
                         ffi::AnyBuffer x, ffi::Buffer<ffi::F32> base,
                         ffi::BufferR1<ffi::PRED> receiving, ffi::BufferR1<ffi::PRED> sending,
                         ffi::ResultBufferR2<ffi::F32> out) {
  const size_t rows = out->dimensions()[0], dim = out->dimensions()[1];
  const auto empty_or = [](size_t size, size_t expected) { return size == 0 || size == expected; };
  if (offsets.element_count() != rows + 1 || weights.element_count() != senders.element_count() ||
      x.dimensions().size() != 2 || x.element_count() != x.dimensions()[0] * dim ||
      !empty_or(base.element_count(), rows * dim) || !empty_or(receiving.element_count(), rows) ||
      !empty_or(sending.element_count(), x.dimensions()[0])) {
    return ffi::Error::InvalidArgument("shapes of a neighbourhood sum that don't fit together");
  }
  const auto run = [&]<typename X>(const X* data) {
    const Product<X> product{.num_rows = static_cast<int64_t>(rows),
                             .num_edges = static_cast<int64_t>(senders.element_count()),
                             .dim = static_cast<int64_t>(dim),
                             .offsets = offsets.typed_data(),
                             .senders = senders.typed_data(),
                             .weights = weights.typed_data(),
                             .x = data,
                             .base = DataOrNull(base),
                             .receiving = DataOrNull(receiving),
                             .sending = DataOrNull(sending),
                             .out = out->typed_data()};
    jaxrec::InParallel(pool, product, product.NumChunks());
    return ffi::Error::Success();
  };
  switch (x.element_type()) {
    case ffi::F32:
      return run(static_cast<const float*>(x.untyped_data()));
    case ffi::BF16:
      return run(static_cast<const Bfloat16*>(x.untyped_data()));
    default:
      return ffi::Error::InvalidArgument("x is neither float32 nor bfloat16");
  }
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxrecNeighbourSums, NeighbourSums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::AnyBuffer>()
                                  .Arg<ffi::Buffer<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::PRED>>()
                                  .Arg<ffi::BufferR1<ffi::PRED>>()
                                  .Ret<ffi::BufferR2<ffi::F32>>());
