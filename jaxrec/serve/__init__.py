"""From a run to a service: the bundle, its scorer without JAX, and the HTTP service.

Imports NumPy and Arrow, and where there is a service FastAPI; never JAX. So it must not import
what computes with it: `gcn`, `models`, `rank`, `train` and `runs`.
"""
