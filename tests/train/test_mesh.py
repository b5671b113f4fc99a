"""How many devices share the graph changes no bit, or the last ones, and what is sent was meant."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.wire import largest_array, received_bytes, step_receives
from jaxrec.errors import UserError
from jaxrec.gcn.mesh import mesh_of
from tests.nursery import ROOT
from tests.train.eight_devices import lists

DEVICES = "--xla_force_host_platform_device_count=8"


@pytest.fixture(scope="module")
def found() -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "tests.train.eight_devices"],
        cwd=ROOT,
        env=os.environ | {"XLA_FLAGS": DEVICES, "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("case", ["random bpr", "random softmax", "few bpr", "few softmax"])
def test_the_same_is_learnt_on_any_number_of_devices(found: dict[str, Any], case: str) -> None:
    """State, final embeddings and messages have the same SHA-256, fewer rows than devices too."""
    one, *others = found["learnt"][case].values()
    assert others
    assert others == [one] * len(others)


def test_layers_of_unit_length_teach_the_same_but_for_rounding(found: dict[str, Any]) -> None:
    """The very bits with jax 0.10; with jax 0.12 the last digits differ, for a reason not found."""
    assert max(found["unit layers"]) < 1e-5


def test_a_state_of_some_devices_goes_on_with_others(found: dict[str, Any]) -> None:
    one = found["learnt"]["random bpr"]["1"]["state"]
    assert found["resumed"] == [one, one]


@pytest.mark.parametrize("recipe", ["bpr", "softmax"])
def test_gathering_some_columns_at_a_time_changes_no_bit(
    found: dict[str, Any], recipe: str
) -> None:
    """Nor does it if their number doesn't divide the dimensions."""
    one = found["learnt"][f"random {recipe}"]["1"]["state"]
    others = found["gathered by columns"][recipe]
    assert others
    assert others == [one] * len(others)


def test_the_whole_graph_can_be_had_where_devices_share_it(found: dict[str, Any]) -> None:
    one, eight = found["whole graph"]
    assert one == eight


@pytest.mark.parametrize("kernel", ["csr float32", "segment_sum bfloat16"])
def test_kernels_sum_some_columns_to_the_same_bits(found: dict[str, Any], kernel: str) -> None:
    assert len(set(found["narrow"][kernel])) == 1


@pytest.mark.parametrize("recipe", ["bpr", "softmax"])
def test_a_shared_loss_teaches_what_one_device_learns(found: dict[str, Any], recipe: str) -> None:
    """Batches that can't be cut evenly, fewer rows than devices, another number on the way."""
    apart = found["shared"][recipe]
    assert max(apart["random"] + apart["few"]) < 1e-5
    assert max(apart["random"]) > 0  # else it isn't shared, and this tests nothing


@pytest.mark.parametrize("recipe", ["bpr", "softmax"])
def test_a_shared_loss_teaches_the_same_bits_again(found: dict[str, Any], recipe: str) -> None:
    first, again = found["again"][recipe]
    assert first == again


@pytest.mark.parametrize("graph", ["random", "few"])
def test_what_a_run_begins_with_has_the_same_rows_on_any_number_of_devices(
    found: dict[str, Any], graph: str
) -> None:
    """The devices divide neither 30 items nor 3 users."""
    one, *others = found["carried"][graph].values()
    assert others
    assert others == [one] * len(others)


def test_eight_devices_list_what_one_lists(found: dict[str, Any]) -> None:
    assert found["lists"] == lists()


@pytest.mark.parametrize(("loss", "devices"), [("shared", 2), ("shared", 8), ("repeated", 8)])
def test_what_a_step_receives_is_what_the_design_says(
    found: dict[str, Any], loss: str, devices: int
) -> None:
    size = {"rows": 3500, "dim": 16, "layers": 2, "batch_rows": 3 * 32}
    expected = step_receives(**size, devices=devices, loss=loss)
    assert found["wire"][loss][str(devices)]["received"] == pytest.approx(expected, rel=0.05)


def test_no_device_holds_a_whole_table_that_is_gathered_by_columns(found: dict[str, Any]) -> None:
    """The largest array has 4 of 16 columns of 2,000 users; and no more bytes are received."""
    whole, narrow = found["wire"]["shared"]["8"], found["wire by columns"]
    assert whole["largest"] == 2000 * 16
    assert narrow["largest"] == 2000 * 4
    assert narrow["received"] == pytest.approx(whole["received"], rel=0.01)


def test_collectives_are_counted_as_often_as_they_run() -> None:
    program = """HloModule steps, is_scheduled=true

%sum (a: s32[], b: s32[]) -> s32[] {
  ROOT %s = s32[] add(%a, %b)
}

%body (p: (s32[], f32[8,4])) -> (s32[], f32[8,4]) {
  %a = f32[8,4]{1,0} all-gather(%x), dimensions={0}
}

ENTRY %main (x: f32[2,4]) -> f32[100] {
  %w = (s32[]) while(%t), condition=%c, body=%body, backend_config={"known_trip_count":{"n":"3"}}
  %b = (s32[6]{0}, pred[2]{0}, /*index=2*/bf16[3]{0}) all-reduce(%y, %z), to_apply=%sum
  %c = f32[100]{0} add(%y, %z)
}
"""
    assert received_bytes(program, 4) == 0.75 * (3 * 128 + 2 * (24 + 2 + 6))
    assert largest_array(program) == 100
    with pytest.raises(ValueError, match="reduce-scatter"):
        received_bytes("%a = f32[8]{0} reduce-scatter(%x)", 2)
    with pytest.raises(ValueError, match="nobody knows how often"):
        received_bytes(program.replace("known_trip_count", "unknown"), 4)


def test_more_devices_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"config\.mesh\.devices is 1000.*expected 0"):
        mesh_of(1000)
    assert mesh_of(1) is None
