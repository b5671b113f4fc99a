"""The fields of `config.baseline` and `config.blend`: the other methods, and methods together."""

import dataclasses
from typing import Literal

from jaxrec.config.fields import group, setting

Member = Literal["gcn", "most_popular", "itemknn", "rp3beta", "ease", "ials", "gfcf", "walks"]
Method = Literal[
    "gcn", "most_popular", "itemknn", "rp3beta", "ease", "ials", "gfcf", "walks", "blend", "auto"
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ItemKNNConfig:
    """ItemKNN: cosine similarities between songs."""

    neighbours: int = setting(100, "most similar songs kept per song", minimum=1)
    shrink: float = setting(
        0.0, "added to the cosine's denominator; above 0, small overlaps count less", minimum=0
    )
    normalize: bool = setting(True, "similarities to a song are divided by their sum")
    centre: bool = setting(True, "a song's share of listeners counts as its mean rating")


@dataclasses.dataclass(frozen=True, kw_only=True)
class RP3BetaConfig:
    """RP3beta: random walks of three steps."""

    neighbours: int = setting(100, "best ends of a walk kept per song", minimum=1)
    alpha: float = setting(0.6, "exponent of a step's probability", minimum=0)
    beta: float = setting(
        0.3, "exponent of the song's number of listeners, by which scores are divided", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class EASEConfig:
    """EASE: item weights in closed form."""

    l2: float = setting(
        200.0,
        "weight of the squared item weights; in listeners, added to the diagonal",
        above=0,
    )
    entries: int = setting(
        0, "strongest item weights kept for each song, so that a bundle is small; 0: all", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class IALSConfig:
    """iALS: matrix factorisation by alternating least squares."""

    dim: int = setting(64, "length of an embedding", minimum=1)
    iterations: int = setting(
        16, "times that all listeners' and then all songs' embeddings are solved for", minimum=1
    )
    unobserved_weight: float = setting(
        0.01, "of the squared score of any pair, beside 1 of a listened one", above=0
    )
    l2: float = setting(0.003, "weight of the squared embeddings", above=0)
    l2_exponent: float = setting(
        1.0, "how l2 grows with a node's degree; 0: the same for all", minimum=0
    )
    init_stddev: float = setting(
        0.1, "standard deviation of an initial embedding's length", above=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class GFCFConfig:
    """GF-CF: graph filters without training."""

    singular_vectors: int = setting(
        256, "frequencies that the ideal low-pass filter lets through", minimum=1
    )
    low_pass_weight: float = setting(0.3, "of that filter, beside 1 of the linear one", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Settings of the other methods, by method; most_popular has none."""

    itemknn: ItemKNNConfig = group(ItemKNNConfig)
    rp3beta: RP3BetaConfig = group(RP3BetaConfig)
    ease: EASEConfig = group(EASEConfig)
    ials: IALSConfig = group(IALSConfig)
    gfcf: GFCFConfig = group(GFCFConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendWeightsConfig:
    """How much each method's scores count in a blend, once they are on one scale per listener."""

    gcn: float = setting(1.0, "of the network", minimum=0)
    most_popular: float = setting(1.0, "of the most popular songs", minimum=0)
    itemknn: float = setting(1.0, "of ItemKNN", minimum=0)
    rp3beta: float = setting(1.0, "of RP3beta", minimum=0)
    ease: float = setting(1.0, "of EASE", minimum=0)
    ials: float = setting(1.0, "of iALS", minimum=0)
    gfcf: float = setting(0.6, "of GF-CF", minimum=0)
    walks: float = setting(1.0, "of the graph's own walks", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Several methods whose scores are added (method = blend)."""

    models: tuple[Member, ...] = setting(
        ("gcn", "ease", "gfcf"), "the methods; each takes its settings from its own group"
    )
    weights: BlendWeightsConfig = group(BlendWeightsConfig)
