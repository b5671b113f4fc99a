// Histories times a sparse matrix of items on a CPU: out[r] = the sum over r's entries of
// weight * B[item], every item's score written down; where there is a metric m, divided by the root
// of the sum over r's entries of weight * m[item] * out[r][item].
//
// A row of scores fits into a core's cache, and adding to it at the columns that a row of B names is
// all there is to do. Entries are added in their order, and multiplied and added apart
// (-ffp-contract=off), as SciPy does it: the sums are the same to the bit, with any number of
// threads.

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "chunks.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

struct HistoryProduct {
  int64_t num_rows, num_items;
  const int32_t *offsets, *items;
  const float* weights;
  const int32_t *starts, *targets;
  const float* values;
  const float* metric;  // null: nothing is divided
  float* out;

  void Do(int64_t chunk, int64_t) const {  // a row is a chunk
    float* scores = out + chunk * num_items;
    std::fill_n(scores, num_items, 0.0f);
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

ffi::Error HistorySums(ffi::ThreadPool pool, ffi::BufferR1<ffi::S32> offsets,
                       ffi::BufferR1<ffi::S32> items, ffi::BufferR1<ffi::F32> weights,
                       ffi::BufferR1<ffi::S32> starts, ffi::BufferR1<ffi::S32> targets,
                       ffi::BufferR1<ffi::F32> values, ffi::BufferR1<ffi::F32> metric,
                       ffi::ResultBufferR2<ffi::F32> out) {
  const size_t rows = out->dimensions()[0], num_items = out->dimensions()[1];
  if (offsets.element_count() != rows + 1 || weights.element_count() != items.element_count() ||
      starts.element_count() != num_items + 1 ||
      values.element_count() != targets.element_count() ||
      (metric.element_count() != 0 && metric.element_count() != num_items)) {
    return ffi::Error::InvalidArgument("shapes of histories and items that don't fit together");
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
                               .out = out->typed_data()};
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
                                  .Ret<ffi::BufferR2<ffi::F32>>());
