"""From the configuration to a split, and to several validation parts of one."""

from collections.abc import Callable

from jaxrec.config import RunConfig
from jaxrec.data.interactions import union
from jaxrec.report.console import Console
from jaxrec.runs.prepare import prepare_cuts, prepare_split
from tests.search.searches import SEARCHED

MakeConfig = Callable[..., RunConfig]


def test_cuts_share_test_and_what_validation_is_cut_from(
    checkerboard_config: MakeConfig,
) -> None:
    config = checkerboard_config(**SEARCHED, tune__cuts=3)
    cuts = prepare_cuts(config, Console(quiet=True))
    first = prepare_split(config, Console(quiet=True))
    assert cuts[0].fingerprints == first.fingerprints
    assert cuts[0].protocol == first.protocol
    assert len({cut.fingerprints["test"] for cut in cuts}) == 1
    assert len({cut.fingerprints["validation"] for cut in cuts}) == 3
    wholes = [union([cut.train, cut.validation]).keys().tolist() for cut in cuts]
    assert wholes[0] == wholes[1] == wholes[2]
    assert [cut.protocol["validation"].get("seed", 0) for cut in cuts] == [0, 1, 2]
