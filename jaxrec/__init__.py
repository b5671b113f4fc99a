"""jaxrec: song recommendations from listening histories, by graph convolution in JAX."""

__version__ = "0.1.0"
