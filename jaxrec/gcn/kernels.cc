// All of our CPU kernels in one: XLA's headers are read once, which is most of what compiling takes.

#include "history_sums.cc"
#include "neighbour_sums.cc"
#include "standard_sums.cc"
