"""Whenever a run is killed, started again it comes to the very end it would have come to."""

from collections.abc import Callable

from tests.faults.kills import RANDOM, Kill, Reference, Trial, reference_run, run_trials
from tests.faults.runs import Runs

# Each run is killed four times. A random moment comes last: how far the run has come by then
# depends on the machine, so a named point may lie behind it. The campaign kills each once, at more
# moments and points.
CHAINS = (
    (
        Kill("config.json half written"),
        Kill("temporary folder made", 2),
        Kill("pruning: half removed", 1),
        Kill("results.json half written"),
    ),
    (
        Kill("arrays half written", 3),
        Kill("metrics row half written", 2),
        Kill("resuming: metrics.jsonl half written"),
        Kill(RANDOM, moment=0.2),
    ),
    (
        Kill("before the manifest", 1),
        Kill("manifest half written", 1),
        Kill("after the manifest, before the commit", 1),
        Kill(RANDOM, moment=0.4),
    ),
    (
        Kill("measuring", 1),
        Kill("metrics row written, not saved", 1),
        Kill("after the commit", 1),
        Kill(RANDOM, moment=0.6),
    ),
    (
        Kill("pruning: renamed", 3),
        Kill("resuming: after the restore"),
        Kill("final evaluation"),
        Kill(RANDOM, moment=0.1),
    ),
)


def test_twenty_kills_change_nothing(
    runs: Runs,
    network_reference: Reference,
    record_property: Callable[[str, object], None],
) -> None:
    trials = [Trial(number, kills) for number, kills in enumerate(CHAINS)]
    assert sum(len(trial.kills) for trial in trials) == 20
    results = run_trials(runs, trials, {"network": network_reference}, workers=2)
    assert [result for result in results if result.wrong] == []
    record_property("faults", 20)


def test_a_blend_that_is_killed_in_each_of_its_members_comes_to_the_same_end(
    runs: Runs, record_property: Callable[[str, object], None]
) -> None:
    """Members that were fitted before a kill are not fitted again: their rows and times stay."""
    kills = (
        Kill("pruning: renamed", 2),
        Kill("fitted, not yet measured", 1),
        Kill("arrays half written", 1),  # of the second member
        Kill("fitted, not yet measured", 3),
        Kill("results.json half written"),
    )
    references = {"blend": reference_run(runs, "blend")}
    results = run_trials(runs, [Trial(0, kills, "blend")], references, workers=1)
    assert [result for result in results if result.wrong] == []
    record_property("faults", len(kills))
