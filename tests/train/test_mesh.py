"""How many devices share the graph changes no bit, and what they send is what was meant."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from benchmarks.wire import received_bytes, step_receives
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


@pytest.mark.parametrize("recipe", ["bpr", "softmax"])
@pytest.mark.parametrize("graph", ["random", "few"])
def test_the_same_is_learnt_on_any_number_of_devices(
    found: dict[str, Any], graph: str, recipe: str
) -> None:
    """State, final embeddings and messages have the same SHA-256, fewer rows than devices too."""
    one, *others = found["learnt"][f"{graph} {recipe}"].values()
    assert others
    assert others == [one] * len(others)


def test_a_state_of_some_devices_goes_on_with_others(found: dict[str, Any]) -> None:
    one = found["learnt"]["random bpr"]["1"]["state"]
    assert found["resumed"] == {"1, 8, 2": one, "8, 2, 1": one}


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


@pytest.mark.parametrize("devices", [2, 4, 8])
def test_what_a_step_receives_is_what_the_design_says(found: dict[str, Any], devices: int) -> None:
    expected = step_receives(rows=3500, dim=16, layers=2, devices=devices, batch_rows=2 * 3 * 32)
    assert found["wire"][str(devices)] == pytest.approx(expected, rel=0.05)


def test_collectives_are_counted_one_by_one() -> None:
    program = """
      %a = f32[8,4]{1,0} all-gather(%x), dimensions={0}
      %b = (s32[6]{0}, pred[2]{0}, /*index=2*/bf16[3]{0}) all-reduce(%y, %z), to_apply=%sum
      %c = f32[100]{0} add(%y, %z)
    """
    assert received_bytes(program, 4) == 0.75 * (128 + 2 * (24 + 2 + 6))
    with pytest.raises(ValueError, match="reduce-scatter"):
        received_bytes("%a = f32[8]{0} reduce-scatter(%x)", 2)


def test_more_devices_than_there_are_are_refused() -> None:
    with pytest.raises(UserError, match=r"config\.mesh\.devices is 1000.*expected 0"):
        mesh_of(1000)
    assert mesh_of(1) is None
