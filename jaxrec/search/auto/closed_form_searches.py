"""How the settings of the methods that are fitted at once are searched, by the data's size."""

from jaxrec.models import slim
from jaxrec.models.ease import multiplications
from jaxrec.search.auto.searches import TRIED, Effort, Search, Size

# What one closed form's search may take: multiplications of EASE's inverses; entries of products.
INVERSES = {"quick": 2e11, "normal": 1.2e13, "thorough": 3e14}
VECTORS = {"quick": 8e5, "normal": 2.4e6, "thorough": 2e7}  # edges that GF-CF's are searched for in
PAIRS = {"quick": 5e9, "normal": 1e10, "thorough": 1e11}
# Of the ridge that EASE and SLIM share.
L2, L2_EXPONENTS = (6.0, 20.0, 60.0, 200.0, 600.0, 2000.0), (0.0, 0.25, 0.5, 0.75)
MOST_NEIGHBOURS = 200  # of an item in SLIM
OF_SLIM = {"quick": 2, "normal": 8, "thorough": 20}  # settings: each of its three fields matters
NEIGHBOURS = {"quick": 6e6, "normal": 3e7, "thorough": 6e8}  # of SLIM's items, each with as many
# Of more items SLIM is left to whoever asks for it: on Gowalla's 41,000 both rules took it instead
# of walks, and its test lists were 2% worse (docs/lab/slim.md).
SLIM_ITEMS = {"quick": 30_000, "normal": 30_000, "thorough": 300_000}


def closed_forms(size: Size, effort: Effort, parts: int) -> list[Search]:
    """A search for each of them, the cheap ones first; one that there is no time for tries nothing.

    Args:
      size: of what is learnt from in a part.
      effort: how much may be tried.
      parts: to how many parts each setting is fitted, at most.
    """
    tried = TRIED[effort]

    def within(fits: float, most: int = tried) -> tuple[int, int]:
        """How many settings, fitted to how many parts: rather fewer than nothing to choose."""
        own = max(1, min(parts, int(fits / 2)))
        return min(most, int(fits / own)), own

    inverse = multiplications(size.users, size.items, size.edges)
    by_pairs, pairs_parts = within(PAIRS[effort] / max(1, size.pairs))
    by_vectors, vectors_parts = within(VECTORS[effort] / max(1, size.edges))
    by_inverses, inverses_parts = within(INVERSES[effort] / max(1, inverse))
    by_neighbours, neighbours_parts = within(_fits_of_slim(size, effort), OF_SLIM[effort])
    vectors = [each for each in (16, 32, 64, 128, 256, 512) if each < min(size.users, size.items)]
    walks = Search(
        "walks",
        {"walks.exponent": 0.35, "walks.longer": 0.3},
        [
            ("walks.exponent", (-0.1, 0.05, 0.2, 0.35, 0.5, 0.65)),
            ("walks.longer", (0.0, 0.3, 0.6, 0.9)),
        ],
        tried,
        "sums",
        parts=parts,
    )
    itemknn = Search(
        "itemknn",
        {
            "baseline.itemknn.neighbours": 100,
            "baseline.itemknn.shrink": 0.0,
            "baseline.itemknn.normalize": True,
        },
        [
            ("baseline.itemknn.normalize", (True, False)),
            ("baseline.itemknn.shrink", (0.0, 10.0, 30.0, 100.0, 300.0)),
            ("baseline.itemknn.neighbours", (25, 50, 100, 200, 400)),
        ],
        by_pairs,
        "products",
        parts=pairs_parts,
    )
    rp3beta = Search(
        "rp3beta",
        {
            "baseline.rp3beta.neighbours": 200,
            "baseline.rp3beta.alpha": 0.6,
            "baseline.rp3beta.beta": 0.3,
        },
        [
            ("baseline.rp3beta.beta", (0.0, 0.15, 0.3, 0.45, 0.6)),
            ("baseline.rp3beta.alpha", (0.4, 0.6, 0.8, 1.0, 1.2)),
            ("baseline.rp3beta.neighbours", (50, 100, 200, 400)),
        ],
        by_pairs,
        "products",
        parts=pairs_parts,
    )
    gfcf = (
        Search(
            "gfcf",
            {
                "baseline.gfcf.singular_vectors": vectors[len(vectors) // 2],
                "baseline.gfcf.low_pass_weight": 0.3,
            },
            [
                ("baseline.gfcf.low_pass_weight", (0.0, 0.15, 0.3, 0.6, 1.0)),
                # Fewer first: twice as many take three times as long to find.
                ("baseline.gfcf.singular_vectors", vectors[::-1]),
            ],
            by_vectors,
            "sums",
            parts=vectors_parts,
        )
        if vectors
        else None
    )
    ease = Search(
        "ease",
        {"baseline.ease.l2": 200.0, "baseline.ease.l2_exponent": 0.25},
        [
            ("baseline.ease.l2", L2),
            ("baseline.ease.l2_exponent", L2_EXPONENTS),
        ],
        by_inverses,
        "inverse",
        parts=inverses_parts,
    )
    nearest = Search(
        "slim",
        {
            "baseline.slim.neighbours": 100,
            "baseline.slim.l2": 60.0,
            "baseline.slim.l2_exponent": 0.5,
        },
        [
            ("baseline.slim.l2", L2),
            ("baseline.slim.neighbours", (50, 100, MOST_NEIGHBOURS)),
            ("baseline.slim.l2_exponent", L2_EXPONENTS),
        ],
        by_neighbours,
        "regressions",
        parts=neighbours_parts,
    )
    return [each for each in (walks, itemknn, rp3beta, gfcf, nearest, ease) if each is not None]


def _fits_of_slim(size: Size, effort: Effort) -> float:
    """For how many there is time, if SLIM is offered at all."""
    if size.items > SLIM_ITEMS[effort]:
        return 0
    return min(
        NEIGHBOURS[effort] / max(1, MOST_NEIGHBOURS * size.items),
        PAIRS[effort] / max(1, slim.entries(size.items, size.pairs, MOST_NEIGHBOURS)),
    )
