"""From embeddings to ranked lists and their figures."""
