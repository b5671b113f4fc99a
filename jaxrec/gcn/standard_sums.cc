// Several models' scores brought to one scale on a CPU and added up, a user's row at a time:
// out[r] = the sum over models of weight * (scores[r] - mean) / deviation, mean and deviation being
// those of the row over the known items.
//
// A row fits into a core's cache: so it is read from memory once, however often it is gone over.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "chunks.h"
#include "xla/ffi/api/ffi.h"

namespace ffi = xla::ffi;

namespace {

constexpr int kWide = 32;  // sums side by side: as many as keep the processor busy
using WideFloats = float __attribute__((vector_size(4 * kWide), aligned(4), may_alias));

// What `each(k, floats of k)` yields, summed over all k below `count`.
template <typename Vector, typename Scalar>
float Sum(int64_t count, Vector vector, Scalar scalar) {
  WideFloats sums = {};
  int64_t k = 0;
  for (; k + kWide <= count; k += kWide) sums += vector(k);
  float lanes[kWide], total = 0;
  std::memcpy(lanes, &sums, sizeof lanes);
  for (const float lane : lanes) total += lane;
  for (; k < count; ++k) total += scalar(k);
  return total;
}

const WideFloats& At(const float* x, int64_t k) { return *reinterpret_cast<const WideFloats*>(x + k); }

float Greatest(const float* scores, const float* known, int64_t count) {
  float lanes[kWide] = {};
  int64_t k = 0;
  for (; k + kWide <= count; k += kWide) {
    for (int lane = 0; lane < kWide; ++lane) {
      const float size = std::fabs(scores[k + lane]) * known[k + lane];
      lanes[lane] = size > lanes[lane] ? size : lanes[lane];
    }
  }
  float greatest = 0;
  for (const float lane : lanes) greatest = std::max(greatest, lane);
  for (; k < count; ++k) greatest = std::max(greatest, std::fabs(scores[k]) * known[k]);
  return greatest;
}

struct StandardSum {
  int64_t num_items;
  const float* known;  // 1 or 0
  float num_known, constant;
  const float* weights;
  std::vector<const float*> members;
  float* out;

  void Do(int64_t row, int64_t) const {
    float* to = out + row * num_items;
    std::fill_n(to, num_items, 0.0f);
    for (size_t member = 0; member < members.size(); ++member) {
      const float* scores = members[member] + row * num_items;
      const float size = Greatest(scores, known, num_items);
      const float part = 1 / (size > 0 ? size : 1);  // so that no square is too small or too great
      const float centre = Sum(
          num_items, [&](int64_t k) { return At(scores, k) * part * At(known, k); },
          [&](int64_t k) { return scores[k] * part * known[k]; }) / num_known;
      const float squares = Sum(
          num_items,
          [&](int64_t k) {
            const WideFloats apart = At(scores, k) * part - centre;
            return apart * apart * At(known, k);
          },
          [&](int64_t k) {
            const float apart = scores[k] * part - centre;
            return apart * apart * known[k];
          });
      const float spread = std::sqrt(squares / num_known);
      if (!(spread > constant)) {  // it says nothing; but a NaN is to be seen
        if (!std::isfinite(size) || std::isnan(spread)) {
          std::fill_n(to, num_items, std::numeric_limits<float>::quiet_NaN());
        }
        continue;
      }
      const float mean = size * centre, scale = weights[member] / (size * spread);
      for (int64_t k = 0; k < num_items; ++k) to[k] += scale * (scores[k] - mean);
    }
  }
};

ffi::Error StandardSums(ffi::ThreadPool pool, ffi::BufferR1<ffi::F32> weights,
                        ffi::BufferR1<ffi::F32> known, ffi::BufferR0<ffi::F32> constant,
                        ffi::RemainingArgs members, ffi::ResultBufferR2<ffi::F32> out) {
  const int64_t rows = out->dimensions()[0], num_items = out->dimensions()[1];
  if (static_cast<int64_t>(known.element_count()) != num_items ||
      weights.element_count() != members.size()) {
    return ffi::Error::InvalidArgument("shapes of a blend that don't fit together");
  }
  StandardSum sum{.num_items = num_items,
                  .known = known.typed_data(),
                  .num_known = 0,
                  .constant = *constant.typed_data(),
                  .weights = weights.typed_data(),
                  .members = {},
                  .out = out->typed_data()};
  for (int64_t item = 0; item < num_items; ++item) sum.num_known += sum.known[item];
  sum.num_known = std::max(sum.num_known, 1.0f);
  for (size_t member = 0; member < members.size(); ++member) {
    const auto scores = members.get<ffi::BufferR2<ffi::F32>>(member);
    if (!scores.has_value() || scores->dimensions()[0] != rows ||
        scores->dimensions()[1] != num_items) {
      return ffi::Error::InvalidArgument("shapes of a blend that don't fit together");
    }
    sum.members.push_back(scores->typed_data());
  }
  jaxrec::InParallel(pool, sum, rows);
  return ffi::Error::Success();
}

}  // namespace

XLA_FFI_DEFINE_HANDLER_SYMBOL(JaxrecStandardSums, StandardSums,
                              ffi::Ffi::Bind()
                                  .Ctx<ffi::ThreadPool>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR1<ffi::F32>>()
                                  .Arg<ffi::BufferR0<ffi::F32>>()
                                  .RemainingArgs()
                                  .Ret<ffi::BufferR2<ffi::F32>>());
