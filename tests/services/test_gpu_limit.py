"""What Macs let the GPU use, against what Metal reported on machines of other people."""

import sys

import pytest

from forgellm.services.gpu_limit import gpu_limit, set_wired_limit_mb

GIB = 1 << 30


@pytest.mark.parametrize(
    ("total", "kernel", "reported"),
    [
        (16, "25.6.0", 12713.12e6),
        (24, "25.1.0", 19069.67e6),
        (32, "25.4.0", 26800.60e6),
        (36, "25.0.0", 30150.67e6),
        (48, "25.2.0", 40200.90e6),
        (64, "26.0.0", 55662.79e6),
        (128, "25.1.0", 115448.73e6),
        (16, "24.6.0", 11453.25e6),
        (32, "23.1.0", 22906.50e6),
        (36, "24.6.0", 28991.03e6),
        (64, "23.1.0", 51539.61e6),
    ],
)
def test_without_a_wish_the_limit_is_what_metal_reported(total, kernel, reported):
    limit, note = gpu_limit(total * GIB, kernel=kernel, wired_limit_mb=0)
    assert limit == pytest.approx(reported, rel=0.001)
    assert f"{limit / (total * GIB):.0%}" in note


def test_a_limit_that_somebody_has_set_is_the_limit():
    limit, note = gpu_limit(128 * GIB, kernel="25.1.0", wired_limit_mb=114_688)
    assert limit == 112 * GIB
    assert "iogpu.wired_limit_mb" in note
    assert gpu_limit(16 * GIB, kernel="25.1.0", wired_limit_mb=99_999)[0] == 16 * GIB


@pytest.mark.parametrize(
    ("program", "limit"),
    [
        ("print(14000)", 14_000),
        ("print(0)", 0),
        ("raise SystemExit('unknown oid')", 0),
        ("print('?')", 0),
    ],
)
def test_what_was_set_is_what_the_system_answers(program, limit):
    assert set_wired_limit_mb([sys.executable, "-S", "-c", program]) == limit


def test_where_there_is_nothing_to_ask_nothing_was_set(tmp_path):
    assert set_wired_limit_mb([str(tmp_path / "sysctl")]) == 0
