"""The fields of `config.baseline` and `config.blend`: the other methods, and methods together."""

import dataclasses
from typing import Literal

from jaxrec.config.fields import group, setting

Member = Literal[
    "gcn",
    "most_popular",
    "itemknn",
    "rp3beta",
    "ease",
    "slim",
    "ials",
    "gfcf",
    "walks",
    "own_plays",
    "recent_popular",
    "transitions",
    "sessions",
]
Method = Literal[Member, "blend", "auto"]


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
    l2_exponent: float = setting(
        0.0,
        "how l2 grows with a song's number of listeners; 0: the same for all",
        minimum=0,
        below=2,
    )
    entries: int = setting(
        0, "strongest item weights kept for each song, so that a bundle is small; 0: all", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SLIMConfig:
    """SLIM: item weights of the nearest songs alone, in closed form."""

    neighbours: int = setting(100, "most similar songs that may tell of a song", minimum=1)
    l2: float = setting(
        60.0, "weight of the squared item weights; in listeners, added to the diagonal", above=0
    )
    l2_exponent: float = setting(
        0.5,
        "how l2 grows with a song's number of listeners; 0: the same for all",
        minimum=0,
        below=2,
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
class RecentPopularConfig:
    """The most popular songs of late."""

    half_life_days: float = setting(
        7.0, "days after which a listener's last listen of a song counts half", above=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class TransitionsConfig:
    """Transitions: what is played next to what within a session."""

    gap_minutes: float = setting(30.0, "minutes without a listen that end a session", above=0)
    window: int = setting(10, "songs that follow which count", minimum=1)
    fading: float = setting(
        0.7, "how much the second that follows counts beside the first, and so on", above=0
    )
    backwards: float = setting(
        1.0, "how much the songs before count; 1: as much as those after", minimum=0
    )
    alpha: float = setting(
        0.8, "exponent of a song's transitions, by which its own are divided", minimum=0
    )
    beta: float = setting(0.3, "exponent of the other song's transitions, likewise", minimum=0)
    shrink: float = setting(5.0, "added to both; more: what is rare counts less", minimum=0)
    neighbours: int = setting(200, "strongest transitions kept per song", minimum=1)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SessionsConfig:
    """Sessions: what is heard in one sitting, by walks from song to session to song."""

    gap_minutes: float = setting(30.0, "minutes without a listen that end a session", above=0)
    neighbours: int = setting(200, "best ends of a walk kept per song", minimum=1)
    alpha: float = setting(0.6, "exponent of a step's probability", minimum=0)
    beta: float = setting(
        0.0, "exponent of the song's listens, by which scores are divided", minimum=0
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class BaselineConfig:
    """Settings of the other methods, by method; most_popular and own_plays have none."""

    itemknn: ItemKNNConfig = group(ItemKNNConfig)
    rp3beta: RP3BetaConfig = group(RP3BetaConfig)
    ease: EASEConfig = group(EASEConfig)
    slim: SLIMConfig = group(SLIMConfig)
    ials: IALSConfig = group(IALSConfig)
    gfcf: GFCFConfig = group(GFCFConfig)
    recent_popular: RecentPopularConfig = group(RecentPopularConfig)
    transitions: TransitionsConfig = group(TransitionsConfig)
    sessions: SessionsConfig = group(SessionsConfig)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendWeightsConfig:
    """How much each method's scores count in a blend, once they are on one scale per listener."""

    gcn: float = setting(1.0, "of the network", minimum=0)
    most_popular: float = setting(1.0, "of the most popular songs", minimum=0)
    itemknn: float = setting(1.0, "of ItemKNN", minimum=0)
    rp3beta: float = setting(1.0, "of RP3beta", minimum=0)
    ease: float = setting(1.0, "of EASE", minimum=0)
    slim: float = setting(1.0, "of SLIM", minimum=0)
    ials: float = setting(1.0, "of iALS", minimum=0)
    gfcf: float = setting(0.6, "of GF-CF", minimum=0)
    walks: float = setting(1.0, "of the graph's own walks", minimum=0)
    own_plays: float = setting(1.0, "of the listener's own songs", minimum=0)
    recent_popular: float = setting(1.0, "of the most popular songs of late", minimum=0)
    transitions: float = setting(1.0, "of transitions within sessions", minimum=0)
    sessions: float = setting(1.0, "of what is heard in one session", minimum=0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BlendConfig:
    """Several methods whose scores are added (method = blend)."""

    models: tuple[Member, ...] = setting(
        ("gcn", "ease", "gfcf"), "the methods; each takes its settings from its own group"
    )
    weights: BlendWeightsConfig = group(BlendWeightsConfig)
