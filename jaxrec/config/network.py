"""The fields of `config.model`, `walks`, `ranking` and `loss`: the network and its training."""

import dataclasses
from typing import Literal

from jaxrec.config.fields import setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """The network's shape."""

    layers: int = setting(
        3, "rounds of neighbourhood sums; 0 is plain matrix factorisation", minimum=0
    )
    dim: int = setting(64, "length of an embedding", minimum=1)
    init_stddev: float = setting(0.1, "standard deviation of the initial embeddings", above=0)
    receiver_exponent: float = setting(
        0.5, "of the degree of the node that is summed into; LightGCN has 0.5, LightGCN++ any"
    )
    sender_exponent: float = setting(
        0.5, "of the degree of each neighbour; LightGCN has 0.5, LightGCN++ any"
    )
    unit_layers: bool = setting(
        False, "True: what is summed is scaled to length 1 first, as in LightGCN++"
    )
    layer_zero: float | None = setting(
        None,
        "weight of the embeddings themselves, beside the mean of the sums, as in LightGCN++; None: "
        "all count alike",
        minimum=0,
    )
    kernel: Literal["auto", "segment_sum", "csr", "prefetch", "pallas"] = setting(
        "auto",
        "how neighbourhoods are summed: segment_sum (the reference), csr (jaxlib's product), "
        "prefetch (our own, for CPUs, compiled when first used), pallas (our own, for one NVIDIA "
        "GPU from Ampere on), auto (prefetch or csr on a CPU, pallas where it can be had, "
        "segment_sum elsewhere)",
    )
    dtype: Literal["float32", "bfloat16"] = setting(
        "float32", "what neighbours are gathered in; sums are float32 with both"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WalksConfig:
    """Walks listener-song-listener-song over the graph, added to the scores when ranking.

    Nothing is learnt by them: they know each listen, where embeddings keep what many share.
    """

    weight: float = setting(0.0, "how much they count; 0 leaves them out", minimum=0)
    exponent: float = setting(0.5, "of the degree of the song at the end; less: more popular songs")
    longer: float = setting(
        0.0,
        "how much walks two steps longer, which reach what all like, are taken off",
        minimum=0,
    )
    ends: int = setting(
        0,
        "best ends kept for each song, so that lists need no graph; 0: all, by walking it",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RankingConfig:
    """What the network's lists depend on beside what it has learnt."""

    length_exponent: float = setting(
        1.0,
        "of the length of a song's vector; vectors grow with popularity, so less: fewer popular "
        "songs, 0: the cosine alone",
        minimum=0,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class LossConfig:
    """The loss and what it compares with."""

    name: Literal["bpr", "softmax"] = setting(
        "bpr",
        "bpr: each listened song above sampled ones; softmax: above all samples together, by "
        "cosine",
    )
    negatives: int = setting(
        1, "sampled songs per listened song (bpr), or shared by a batch (softmax)", minimum=1
    )
    sampler: Literal["uniform", "popularity"] = setting(
        "uniform", "uniform (over unheard songs), or popularity (to the power popularity_alpha)"
    )
    popularity_alpha: float = setting(0.75, "the exponent of popularity")
    l2: float = setting(
        1e-4, "weight of the squared embeddings of the batch, before any sums", minimum=0
    )
    temperature: float = setting(0.1, "softmax: what cosines are divided by", above=0)
    negative_weight: float = setting(
        1.0, "softmax: weight of the negatives' part; below 1, gentler on them", above=0
    )
