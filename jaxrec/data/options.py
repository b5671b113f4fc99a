"""The words that a dataset's settings may say.

Apart from what they choose among, so that a configuration is checked before any reader is loaded.
"""

from typing import Literal

Format = Literal["auto", "csv", "tsv", "parquet", "edges", "json", "idomaar"]
OnBadRows = Literal["error", "skip"]
IdenticalRows = Literal["keep", "drop"]
UserFrom = Literal["column", "file", "folder"]
Weight = Literal["binary", "log", "raw"]
SplitKind = Literal["none", "random", "last_n", "time", "yambda", "given"]
ValidationRule = Literal["random", "alike"]
SeenRule = Literal["exclude", "include", "only"]
