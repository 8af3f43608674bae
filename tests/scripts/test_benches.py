"""The benchmarks' own judgement: what they promise, in one form, from made-up figures."""

from __future__ import annotations

import argparse
import base64
import json
import multiprocessing
import re
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from hashlib import sha1
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZES = {"sizes": [10, 100], "seconds": {10: {"again": 0.1}, 100: {"again": 2.0}}, "ratio": {"again": 2.0}}
SOON = {"p50": 100.0, "p95": 200.0, "written": 400, "not_shown": 0}
LIVE = {"clients": 100, "lost": 0, "repeated": 0}
SCRIPTS = {"bytes": 280_000, "files": 34}


@pytest.fixture(scope="module", autouse=True)
def _scripts_importable():
    sys.path.insert(0, str(ROOT / "scripts"))
    yield
    sys.path.remove(str(ROOT / "scripts"))


def page(**figures):
    live = {"figure_ms": {**SOON, **figures}, "chart_ms": SOON, "frame_ms": {}}
    return {"alone": live, "crowded": live, "scripts": SCRIPTS}


def web(**changed):
    return {"server": {"live": LIVE}, "scripts": SCRIPTS, "page": page(), **changed}


def rows_of(name):
    """Rows of a benchmark, by its own functions."""
    if name == "training":
        import bench_training

        return [bench_training.judged(bench_training.CASES[0], [10.0, 8.0], [10.0, 10.0])]
    if name == "learning":
        import bench_learning

        one = bench_learning.Measurement(1.7, 20, ((17.0, 10), (18.0, 10)))
        return [bench_learning.judged(bench_learning.CASES[0], [one], [one], seen_tokens=20)]
    if name == "memory":
        import bench_memory

        return [bench_memory.layer_row(case, 0.03, 0.5, difference=0.0) for case in bench_memory.CASES]
    if name == "generation":
        import bench_generation

        return bench_generation.rows(dict.fromkeys(bench_generation.WANTED, 20.0))
    if name == "growth":
        import bench_growth

        return bench_growth.rows({"growth": {"runs": SIZES}})
    import bench_web

    return bench_web.rows(web())


@pytest.mark.parametrize("name", ["training", "learning", "memory", "generation", "growth", "web"])
def test_what_a_benchmark_prints_becomes_rows_of_the_table_of_all(name, capsys):
    from bench_all import read
    from verdicts import finish

    ended = finish(rows_of(name), as_json=True, more=1)
    rows, found = read(ended, capsys.readouterr().out)
    assert found["more"] == 1
    assert len(rows) == len(rows_of(name))
    for row in rows:
        assert set(row) == {"case", "figure", "wanted", "reached"}
    assert ended == int(name == "growth"), rows


def test_a_training_speed_is_the_true_tokens_of_an_epoch_over_its_seconds():
    from bench_training import Case, judged

    documents = Case("made up", [100, 300], 2, 200, None, documents=True)
    row = judged(documents, [4.0, 2.0, 4.0], [4.0, 4.0, 2.0])
    assert (row["forgellm_tokens_per_second"], row["mlx_lm_tokens_per_second"]) == (100.0, 75.0)
    assert row["ratios"] == [pytest.approx(4 / 3), pytest.approx(8 / 3), pytest.approx(2 / 3)]
    assert (row["figure"], row["reached"]) == ("1.33", None)


@pytest.mark.parametrize(
    ("ended", "printed", "why"),
    [
        (None, "", "took over"),
        (1, "", "exit status 1"),
        (0, '{"rows": [{"case":', "exit status 0"),
        (0, '{"rows": [{"case": "a"}]}', "exit status 0"),
        (0, "[]", "exit status 0"),
        (1, '{"rows": []}', "nothing"),
    ],
)
def test_a_benchmark_without_a_result_is_a_missed_row(ended, printed, why):
    from bench_all import read

    ((row,), _) = read(ended, printed)
    assert row["reached"] is False
    assert why in row["figure"]


def test_a_benchmark_that_ends_otherwise_than_its_rows_is_missed():
    from bench_all import read
    from verdicts import at_most

    for ended in (1, -11):
        rows, _ = read(ended, json.dumps({"rows": [at_most("a", 0.5, 1.0)]}))
        assert [row["reached"] for row in rows] == [True, False]


def test_a_benchmark_that_takes_too_long_is_ended_with_what_it_began(tmp_path):
    from bench_all import output

    sleeper = f"{sys.executable} -c 'import threading; threading.Event().wait()'"
    command = ["sh", "-c", f"{sleeper} & echo $! > {tmp_path}/pid; {sleeper}"]
    assert output(command, limit=3) == (None, "")
    assert gone(int((tmp_path / "pid").read_text()))


def gone(process):
    """Whether a process ends within a minute; nobody may be there to bury it."""
    for _ in range(1200):
        try:
            if psutil.Process(process).status() == psutil.STATUS_ZOMBIE:
                return True
        except psutil.NoSuchProcess:
            return True
        threading.Event().wait(0.05)
    return False


@pytest.mark.parametrize(
    "found",
    [
        page(p95=300.0),
        page(not_shown=1),
        page(p95=None, not_shown=400),
        {**page(), "scripts": {"bytes": 300_000, "files": 3}},
        {**page(), "scripts": {"bytes": 0, "files": 0}},
    ],
)
def test_a_page_that_is_late_or_large_is_missed(found):
    import bench_page
    from verdicts import status

    def judged(result):
        return status([*bench_page.rows(result), bench_page.size(result["scripts"])])

    assert judged(found) == 1
    assert judged(page()) == 0


def test_a_page_on_which_hardly_anything_came_is_described():
    from bench_page import latencies

    assert latencies({1: 1.0, 2: 2.0}, [(1, 1100.0)]) == {
        "p50": None,
        "p95": None,
        "written": 2,
        "not_shown": 1,
    }


def test_a_page_that_was_not_measured_is_said_and_not_judged():
    import bench_web

    last = bench_web.rows(web(page=None))[-1]
    assert last["reached"] is None
    assert "NOT MEASURED" in last["figure"]


def test_a_growth_tells_milliseconds_at_both_sizes():
    assert rows_of("growth")[0]["figure"] == "2.00 (100, 2,000 ms)"


def test_a_case_that_there_is_not_is_refused(capsys):
    from bench_training import CASES
    from verdicts import chosen

    assert chosen(argparse.ArgumentParser(), CASES, "documents") == CASES[-1:]
    with pytest.raises(SystemExit) as ended:
        chosen(argparse.ArgumentParser(), CASES, "nosuch")
    assert ended.value.code == 2
    assert CASES[0].name in capsys.readouterr().err


def test_when_one_of_two_in_turns_dies_the_other_is_ended(tmp_path, monkeypatch):
    (tmp_path / "made_up_trainers.py").write_text(
        "import os\n"
        "def dies(case, epochs, turns):\n    turns.send(0.0)\n    turns.recv()\n    os._exit(7)\n"
        "def goes_on(case, epochs, turns):\n    turns.send(0.5)\n    turns.recv()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    import made_up_trainers
    from turns import in_turns

    with pytest.raises(ChildProcessError, match="dies died with exit status 7"):
        in_turns(None, 1, (made_up_trainers.dies, made_up_trainers.goes_on))
    assert multiprocessing.active_children() == []


def test_a_server_that_says_much_is_not_held_up():
    from web_load import port_of

    said = "print('on http://127.0.0.1:5/.', flush=True); print('x' * 10**6, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", said], stdout=subprocess.PIPE, text=True)
    assert port_of(process) == 5
    assert process.wait(60) == 0


def test_a_server_that_ends_before_it_listens_is_named():
    from web_load import port_of

    process = subprocess.Popen([sys.executable, "-c", "exit(3)"], stdout=subprocess.PIPE, text=True)
    with pytest.raises(ChildProcessError, match="status 3"):
        port_of(process)


def ping(listening, message, done):
    """Greets one Socket.IO client and sends it nothing but `message`."""
    connection, _ = listening.accept()
    key = re.search(rb"Sec-WebSocket-Key: (\S+)", connection.recv(65536)).group(1)
    accepted = base64.b64encode(sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    head = [b"HTTP/1.1 101 Switching Protocols", b"Upgrade: websocket", b"Connection: Upgrade"]
    head.append(b"Sec-WebSocket-Accept: " + accepted)
    with connection, suppress(OSError):
        connection.sendall(b"\r\n".join([*head, b"", b""]) + 2 * b"\x81\x010")
        while not done.wait(0.05):
            connection.sendall(message)


@pytest.mark.parametrize("message", [b"\x81\x012", b"\x89\x00"], ids=["Engine.IO", "WebSocket"])
def test_a_server_that_only_pings_does_not_keep_a_client_for_ever(message):
    from web_load import Client

    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=ping, args=(listening, message, done))
        thread.start()
        client = Client(listening.getsockname()[1], "run")
        with pytest.raises(TimeoutError, match="event 3 did not come"):
            client.read_until(3, within=0.3)
        done.set()
        thread.join()
        client.socket.close()
