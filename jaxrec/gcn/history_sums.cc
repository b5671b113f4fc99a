// Histories times a sparse matrix of items on a CPU: sums[r] = the sum over r's entries of
// weight * B[item], every item's score written down; where there is a metric m, divided by the root
// of the sum over r's entries of weight * m[item] * sums[r][item]. Or beside other scores, which
// lie in `out`: out[r] += share * sums[r], -inf for items that aren't listed, and NaN where a sum
// isn't finite.
//
// A row of scores fits into a core's cache, and adding to it at the columns that a row of B names is
// all there is to do. Entries are added in their order, and multiplied and added apart
// (-ffp-contract=off), as SciPy does it: the sums are the same to the bit, with any number of
// threads.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "chunks.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

// The search for the best puts it first; -inf, or a NaN with a sign, it would leave out.
constexpr float kWrong = std::numeric_limits<float>::quiet_NaN();

struct HistoryProduct {
  int64_t num_rows, num_items;
  const int32_t *offsets, *items;
  const float* weights;
  const int32_t *starts, *targets;
  const float* values;
  const float* metric;  // null: nothing is divided
  float* out;
  int64_t num_columns;  // of `out`, at least num_items
  const float* floor;   // null: `out` gets the sums; else 0 where a column is listed, -inf elsewhere
  float share;

  void Do(int64_t chunk, int64_t) const {  // a row is a chunk
    float* row = out + chunk * num_columns;
    if (floor == nullptr) {
      std::fill_n(row, num_items, 0.0f);
      Sum(chunk, row);
      return;
    }
    thread_local std::vector<float> sums;
    sums.assign(num_columns, 0.0f);
    Sum(chunk, sums.data());
    for (int64_t column = 0; column < num_columns; ++column) {
      const float total = row[column] + share * sums[column];
      row[column] = std::isfinite(total) ? total + floor[column] : kWrong;
    }
  }

  void Sum(int64_t chunk, float* scores) const {
    for (int64_t entry = offsets[chunk]; entry < offsets[chunk + 1]; ++entry) {
      const int32_t item = items[entry];
      const float weight = weights[entry];
      for (int64_t k = starts[item]; k < starts[item + 1]; ++k) {
        scores[targets[k]] += weight * values[k];
      }
    }
    if (metric == nullptr) return;
    float square = 0;
    for (int64_t entry = offsets[chunk]; entry < offsets[chunk + 1]; ++entry) {
      square += weights[entry] * metric[items[entry]] * scores[items[entry]];
    }
    if (!(square > 0)) return;
    const float scale = 1 / std::sqrt(square);
    for (int64_t item = 0; item < num_items; ++item) scores[item] *= scale;
  }
};

// `before` is what `out` holds at first, and lies where it lies; empty where that doesn't count.
ffi::Error HistorySums(ffi::ThreadPool pool, ffi::BufferR1<ffi::S32> offsets,
                       ffi::BufferR1<ffi::S32> items, ffi::BufferR1<ffi::F32> weights,
                       ffi::BufferR1<ffi::S32> starts, ffi::BufferR1<ffi::S32> targets,
                       ffi::BufferR1<ffi::F32> values, ffi::BufferR1<ffi::F32> metric,
                       ffi::BufferR2<ffi::F32> before, ffi::BufferR1<ffi::F32> floor,
                       ffi::BufferR0<ffi::F32> share, ffi::ResultBufferR2<ffi::F32> out) {
  const size_t rows = out->dimensions()[0], columns = out->dimensions()[1];
  const bool beside = before.element_count() != 0;
  const size_t num_items = starts.element_count() - 1;
  if (offsets.element_count() != rows + 1 || weights.element_count() != items.element_count() ||
      starts.element_count() == 0 || (beside ? columns < num_items : columns != num_items) ||
      (beside && floor.element_count() != columns) ||
      values.element_count() != targets.element_count() ||
      (metric.element_count() != 0 && metric.element_count() != num_items)) {
    return ffi::Error::InvalidArgument("shapes of histories and items that don't fit together");
  }
  if (beside && before.typed_data() != out->typed_data()) {
    std::copy_n(before.typed_data(), rows * columns, out->typed_data());
  }
  const HistoryProduct product{.num_rows = static_cast<int64_t>(rows),
                               .num_items = static_cast<int64_t>(num_items),
                               .offsets = offsets.typed_data(),
                               .items = items.typed_data(),
                               .weights = weights.typed_data(),
                               .starts = starts.typed_data(),
                               .targets = targets.typed_data(),
                               .values = values.typed_data(),
                               .metric = metric.element_count() ? metric.typed_data() : nullptr,
                               .out = out->typed_data(),
                               .num_columns = static_cast<int64_t>(columns),
                               .floor = beside ? floor.typed_data() : nullptr,
                               .share = *share.typed_data()};
  jaxrec::InParallel(pool, product, product.num_rows);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxrecHistorySums, HistorySums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::S32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR2<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR0<ffi::F32>>()
                                  .Ret<ffi::BufferR2<ffi::F32>>());
