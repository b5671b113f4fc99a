"""Which of a run's processes this is, and where process 0 can be reached."""

import dataclasses
import warnings

from jaxrec.errors import UserError

AUTO = "auto"
_LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclasses.dataclass(frozen=True)
class Place:
    """A process's place among all.

    Attributes:
      index: its number, from 0.
      count: how many processes there are.
      host: the name or address of process 0's machine.
      port: the port there at which JAX's processes meet; the guards meet at the one below.
      devices: the numbers of this machine's devices that are this process's; None for all.
    """

    index: int
    count: int
    host: str
    port: int
    devices: tuple[int, ...] | None = None

    @property
    def coordinator(self) -> str:
        """Where JAX's processes meet."""
        return f"{self.host}:{self.port}"

    @property
    def guards_port(self) -> int:
        """Where the guards meet."""
        return self.port - 1

    @property
    def listens_at(self) -> str:
        """The address that process 0 listens at: any of its own, unless that is this machine's."""
        return self.host.strip("[]") if self.host.strip("[]") in _LOOPBACK else ""


def check_flags(processes: str | None, process: int | None, coordinator: str | None) -> None:
    """Refuses flags that leave open which process of which run this is.

    Raises:
      UserError: one is missing or can't be.
    """
    given = {"--process": process, "--coordinator": coordinator}
    if processes is None or processes == AUTO:
        for name, value in given.items():
            if value is not None:
                raise UserError(
                    f"{name}={value} {f'with --processes={AUTO}' if processes else 'alone'}; "
                    "expected --processes=N, --process=K and --coordinator=HOST:PORT together, or "
                    "--processes=auto alone"
                )
        return
    if not processes.isdecimal() or int(processes) < 1:
        raise UserError(
            f"--processes is {processes!r}; expected a whole number of at least 1, or auto for "
            "what SLURM, Open MPI, Kubernetes or Cloud TPU say"
        )
    for name, value in given.items():
        if value is None:
            raise UserError(
                f"--processes={processes} without {name}; expected --process=K, from 0, and "
                "--coordinator=HOST:PORT, which process 0 listens at; or --processes=auto"
            )
    if process is not None and process >= int(processes):
        raise UserError(
            f"--process is {process} and --processes is {processes}; expected one below it, as the "
            "first is 0"
        )
    read_address("--coordinator", coordinator or "")


def read_address(name: str, address: str) -> tuple[str, int]:
    """The host and the port of `HOST:PORT`.

    Raises:
      UserError: it isn't of that form.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or not 2 <= int(port) < 2**16:
        raise UserError(
            f"{name} is {address!r}; expected HOST:PORT, the machine of process 0 and a port from "
            "2 to 65535 that is free there, as the one below it"
        )
    return host, int(port)


def place_of(
    processes: str, process: int | None, coordinator: str | None, *, start_seconds: float
) -> Place:
    """The place that the flags name, which are checked, or that the cluster does.

    Raises:
      UserError: there is no cluster that JAX knows.
    """
    if processes != AUTO:
        host, port = read_address("--coordinator", coordinator or "")
        return Place(int(process or 0), int(processes), host, port)
    # What jax.distributed.initialize asks; it has no public name, and we must know before it runs.
    from jax._src.clusters import ClusterEnv

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it says at length what the error below says
            found = ClusterEnv.auto_detect_unset_distributed_params(
                None, None, None, None, None, int(start_seconds)
            )
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        what = " ".join(str(error).split())
        raise UserError(f"--processes=auto: {what}; {_BY_HAND}") from error
    address, count, index, devices = found
    if address is None or count is None or index is None:
        raise UserError(
            "--processes=auto: neither SLURM (srun), Open MPI, Kubernetes (with the package "
            f"kubernetes) nor Cloud TPU says which process this is; {_BY_HAND}"
        )
    host, port = read_address("the coordinator's address", address)
    return Place(index, count, host, port, None if devices is None else tuple(devices))


_BY_HAND = "expected one of them, or --processes=N, --process=K and --coordinator=HOST:PORT"
