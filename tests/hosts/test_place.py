"""Flags, or a cluster, say which of the processes this is; what leaves it open is refused."""

import pytest

from jaxrec.errors import UserError
from jaxrec.hosts.place import Place, check_flags, place_of


@pytest.mark.parametrize(
    ("processes", "process", "coordinator", "wrong"),
    [
        (None, 1, None, "--process=1 alone; expected --processes=N"),
        (None, None, "a:1234", "--coordinator=a:1234 alone"),
        ("auto", 0, None, "--process=0 with --processes=auto"),
        (
            "two",
            0,
            "a:1234",
            "--processes is 'two'; expected a whole number of at least 1, or auto",
        ),
        ("0", 0, "a:1234", "--processes is '0'"),
        ("4", None, "a:1234", "--processes=4 without --process; expected --process=K"),
        ("4", 3, None, "--processes=4 without --coordinator"),
        ("4", 4, "a:1234", "--process is 4 and --processes is 4; expected one below it"),
        ("4", 0, "a", "--coordinator is 'a'; expected HOST:PORT"),
        ("4", 0, "a:1", "--coordinator is 'a:1'"),
        ("4", 0, ":1234", "--coordinator is ':1234'"),
    ],
)
def test_flags_that_leave_it_open_are_refused(
    processes: str | None, process: int | None, coordinator: str | None, wrong: str
) -> None:
    with pytest.raises(UserError, match=f"^{wrong}"):
        check_flags(processes, process, coordinator)


def test_flags_that_say_all_are_taken() -> None:
    check_flags(None, None, None)
    check_flags("auto", None, None)
    check_flags("4", 3, "node-1:1234")
    place = place_of("4", 3, "node-1:1234", start_seconds=1)
    assert place == Place(3, 4, "node-1", 1234)
    assert (place.coordinator, place.guards_port) == ("node-1:1234", 1233)
    assert place.listens_at == ""


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_on_one_machine_nobody_else_can_connect(host: str) -> None:
    assert Place(0, 2, host, 1234).listens_at == host.strip("[]")


SLURM = {
    "SLURM_JOB_ID": "7",
    "SLURM_STEP_NODELIST": "node[03-06]",
    "SLURM_NTASKS": "4",
    "SLURM_PROCID": "2",
    "SLURM_LOCALID": "1",
}


def test_slurm_says_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in SLURM.items():
        monkeypatch.setenv(name, value)
    place = place_of("auto", None, None, start_seconds=1)
    assert (place.index, place.count, place.host, place.devices) == (2, 4, "node03", (1,))
    assert 60_000 < place.guards_port < place.port < 65_536


def test_without_a_cluster_auto_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*SLURM, "OMPI_MCA_orte_hnp_uri", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(
        UserError, match=r"^--processes=auto: neither SLURM .* expected one of them"
    ):
        place_of("auto", None, None, start_seconds=1)
