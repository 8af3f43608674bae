"""A training run on several machines, seen by its worker: it starts mlx.launch, watches over it and ends it.

The worker keeps what it has on one machine: the lock, the signals, the last word. The training itself is done
by `jobs.rank`, on this machine and on each of the others.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import IO, Any

from forgellm.domain.device_failures import WAY_OUT_OF_A_RUN
from forgellm.domain.errors import GpuInterrupted, HostLost
from forgellm.domain.hosts import Host, backend_of, parse_hosts
from forgellm.domain.run_specs import spec_of
from forgellm.jobs.hostfile import free_port, launcher_hosts, located
from forgellm.jobs.job import Job, Outcome, called_off, failure_values
from forgellm.jobs.watch import OUTCOME, Lost, Watch, plain
from forgellm.settings import importing_this, worker_environment
from forgellm.storage.events import EventLog
from forgellm.storage.files import read_json, write_json
from forgellm.storage.liveness import read_control, write_control

LAUNCH = (sys.executable, "-m", "forgellm.jobs.lifeline")
# Elsewhere it is started in a folder of ours, or in the home folder: no file there can pose as a module.
RANK = (sys.executable, "-P", "-m", "forgellm.jobs.rank")

_HOSTFILE = ".hosts.json"
_STARTS = 3
_LOOK_SECONDS = 0.25
_CLEARING_SECONDS = 20.0


def train(job: Job) -> Outcome:
    """Train a run on the machines of its spec to its end, from its saved state where it has one.

    A machine that goes away ends it as `failed` with HOST_LOST: it can be resumed. Raises HostLost where the
    machines cannot be told apart or found.
    """
    hosts = located(parse_hosts(spec_of(job.run).hosts))
    write_json(job.folder / _HOSTFILE, launcher_hosts(hosts))
    source = random.Random()
    for _ in range(_STARTS):
        (job.folder / OUTCOME).unlink(missing_ok=True)
        job.log.append("phase", phase="connecting " + ", ".join(host.name for host in hosts))
        watch = Watch([host.name for host in hosts], time.monotonic)
        _run(job, hosts, watch, port=free_port(hosts, source))
        outcome = _called_off(job, watch) or _outcome(job, watch)
        # Somebody may have taken the port between the look and the start.
        if not watch.port_taken:
            break
    return outcome


def _run(job: Job, hosts: Sequence[Host], watch: Watch, *, port: int) -> None:
    """From the start of mlx.launch until nothing of it is left on this machine."""
    with _launched(job, hosts, port) as process, _read(process, watch):
        over: float | None = None
        while _is_running(process):
            if _pass_on(job) != "run" and not watch.met():
                return
            if over is None and (job.folder / OUTCOME).exists():
                over = time.monotonic()
            if watch.is_hopeless() or (over and time.monotonic() - over > _CLEARING_SECONDS):
                return


@contextmanager
def _launched(job: Job, hosts: Sequence[Host], port: int) -> Iterator[subprocess.Popen[bytes]]:
    backend = backend_of(hosts)
    options = ["--hostfile", str(job.folder / _HOSTFILE), "--backend", backend, "--starting-port", str(port)]
    ours, theirs = os.pipe()
    # Nobody is there to answer a question of ssh.
    environment = {**importing_this(worker_environment()), "SSH_ASKPASS_REQUIRE": "never"}
    with os.fdopen(theirs, "wb", buffering=0):
        process = subprocess.Popen(
            [
                *LAUNCH,
                str(ours),
                *options,
                "--",
                *RANK,
                str(job.folder),
                "--backend",
                _group_backend(backend),
            ],
            process_group=0,
            pass_fds=[ours, *job.locks],
            # Never written to and never closed: mlx.launch reads an input that has ended without a pause.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=environment,
        )
        os.close(ours)
        try:
            yield process
        finally:
            end_group(process)
            process.wait()


def end_group(process: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the process group that it leads, if anything is."""
    # macOS refuses to signal a group of which all have ended, but not all were waited for.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def _group_backend(backend: str) -> str:
    return "ring" if backend == "ring" else "jaccl"


@contextmanager
def _read(process: subprocess.Popen[bytes], watch: Watch) -> Iterator[None]:
    output: Any = process.stdout
    reader = threading.Thread(target=_follow_output, args=(output, watch), name="output", daemon=True)
    reader.start()
    yield
    end_group(process)
    reader.join(_CLEARING_SECONDS)


def _follow_output(output: IO[bytes], watch: Watch) -> None:
    for line in output:
        if watch.see(line):
            sys.stderr.buffer.write(plain(line))
            sys.stderr.buffer.flush()


def _is_running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_LOOK_SECONDS)
    except subprocess.TimeoutExpired:
        return True
    return False


def _pass_on(job: Job) -> str:
    """Let the first machine's process know what a signal told this one; answers what is to be done."""
    command = job.control()
    if command in ("pause", "stop") and command != read_control(job.folder):
        write_control(job.folder, "pause" if command == "pause" else "stop")
    return command


def _called_off(job: Job, watch: Watch) -> Outcome | None:
    """A pause or a stop that came before the machines had met."""
    command = job.control()
    if command == "run" or watch.met() or (job.folder / OUTCOME).exists():
        return None
    # The first machine's process may have written some events, too.
    return called_off(job.folder, EventLog(job.folder, job.clock), command=command)


def _outcome(job: Job, watch: Watch) -> Outcome:
    path = job.folder / OUTCOME
    if path.exists():
        found: Any = read_json(path)
        path.unlink()
        values: Mapping[str, object] = found["values"]
        if values.get("code") != HostLost.code:
            return Outcome(str(found["type"]), values)
    lost = host_lost(watch)
    if lost.details.get("rank") and (job.folder / "adapters.safetensors").exists():
        spec = job.run.spec
        wish = [
            "--start-from",
            job.run.id,
            "--training-type",
            spec["training_type"],
            "--dataset",
            spec["dataset"],
        ]
        command = shlex.join(["forgellm", "train", *map(str, wish)])
        lost.suggestion += (
            f" To go on without it, from the best checkpoint: `{command}` and settings as here."
        )
    return Outcome("failed", failure_values(lost))


def host_lost(watch: Watch) -> HostLost:
    """Why a run on several machines ended, as far as what they said tells it."""
    if watch.refused is not None:
        return HostLost(
            f"mlx.launch cannot use these hosts: {watch.refused}",
            details={"output": watch.last_lines()},
            suggestion="Start a new run with other hosts: mlx.distributed_config writes them.",
        )
    if watch.no_jaccl:
        return HostLost(
            "RDMA (jaccl) cannot be used on one of the machines, or on several",
            details={"output": watch.last_lines()},
            suggestion="It needs Thunderbolt 5, macOS 26.2 and RDMA, enabled on each by `rdma_ctl enable` in "
            "Recovery. To do without, start a new run whose hosts name no devices.",
        )
    details: dict[str, object] = {}
    what = "the machines lost each other" if watch.met() else "the machines could not connect to each other"
    lost = watch.lost()
    if watch.port_taken:
        what = "a port that was free is taken"
    elif lost is not None:
        name = watch.name(lost.rank)
        went = "went away" if watch.met() else "did not connect"
        what = f"machine {lost.rank + 1} of the run, {name}, {went}: {lost.how}"
        details = {"host": name, "rank": lost.rank}
    details["output"] = watch.last_lines()
    return HostLost(what, details=details, suggestion=_way_out(lost, details.get("host")))


def _way_out(lost: Lost | None, name: object) -> str:
    if lost is None or lost.cause == "network":
        return (
            "See that every machine is up, in the network, and lets ssh in without a password "
            f"(`ssh {name or 'NAME'} true` says why it does not); then resume the run."
        )
    if lost.cause == "memory":
        again = (
            "If it runs out of memory again, start a new one with a smaller batch_size or grad_checkpoint."
        )
        return f"Resume the run. {again}"
    if lost.cause == "gpu":
        return WAY_OUT_OF_A_RUN[GpuInterrupted]
    return "The run's log has its last words. Put right what they say, then resume the run."
