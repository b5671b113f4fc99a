"""Host side: listening histories in, `Interactions` and `Split`s out (DuckDB, NumPy)."""
