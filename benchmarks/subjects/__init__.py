"""Those that are measured: a module each, importable only in its own environment.

A module has `PACKAGES` (whose versions to report) and some of `train`, `product` and `evaluate`,
which take the request of `benchmarks.compare` and return figures by name, times in seconds.
"""
