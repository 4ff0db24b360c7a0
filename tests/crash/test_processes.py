"""T6: several processes on one index folder."""

import multiprocessing
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from qa.errors import IndexBusy
from qa.storage import IndexFolder

from .layers import QuickFiles, Wrapped
from .scenarios import build, version_of

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")

FORK = multiprocessing.get_context("fork")


def compete(root: Path, rounds: int, start: Any, tried: Any, results: Any) -> None:
    """Each round: start together, and let nobody finish before all have tried."""
    for number in range(1, rounds + 1):
        start.wait(60)
        folder = IndexFolder(root, QuickFiles())
        began = time.monotonic()
        try:
            with folder.builder() as builder:
                tried.wait(60)
                writer = builder.begin()
                writer.write("store.json", b"%d" % number)
                results.put((number, "won", writer.commit({})))
        except IndexBusy:
            results.put((number, "busy", time.monotonic() - began))
            tried.wait(60)


def race(root: Path, processes: int, rounds: int) -> dict[int, list[tuple[str, float]]]:
    start, tried, results = FORK.Barrier(processes), FORK.Barrier(processes), FORK.Queue()
    children = [FORK.Process(target=compete, args=(root, rounds, start, tried, results)) for _ in range(processes)]
    for child in children:
        child.start()
    found: dict[int, list[tuple[str, float]]] = {}
    for _ in range(rounds * processes):
        number, outcome, value = results.get(timeout=60)
        found.setdefault(number, []).append((outcome, value))
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    return found


@pytest.mark.parametrize("rounds", [15, pytest.param(500, marks=pytest.mark.slow)])
def test_of_competing_builds_exactly_one_wins_and_the_others_leave_at_once(tmp_path: Path, rounds: int) -> None:
    for number, outcomes in race(tmp_path / "index", 4, rounds).items():
        assert sorted(outcome for outcome, _ in outcomes) == ["busy", "busy", "busy", "won"]
        assert ("won", number) in outcomes, "no build was lost and no number given twice"
        assert max(value for outcome, value in outcomes if outcome == "busy") < 5
    with IndexFolder(tmp_path / "index").open_current() as generation:
        assert generation.read("store.json") == b"%d" % rounds


def follow(root: Path, last: int, results: Any) -> None:
    """Open what is live, again and again, and look twice at each generation while builds go on."""
    folder = IndexFolder(root)
    seen = set()
    while last not in seen:
        with folder.open_current() as generation:
            assert generation.degraded is None
            generation.verify()
            time.sleep(0.001)
            generation.verify()
            seen.add(generation.about["version"])
    results.put(len(seen))


def follow_builds(root: Path, builds: int, files: Any) -> list[int]:
    """Run two readers beside `builds` builds; return how many generations each saw, or raise if one failed."""
    build(IndexFolder(root, files), 1)
    results = FORK.Queue()
    readers = [FORK.Process(target=follow, args=(root, builds, results)) for _ in range(2)]
    for reader in readers:
        reader.start()
    for version in range(2, builds + 1):
        build(IndexFolder(root, files), version)
        time.sleep(0.002)
    for reader in readers:
        reader.join(60)
        assert reader.exitcode == 0
    return [results.get(timeout=10) for _ in readers]


@pytest.mark.parametrize("builds", [60, pytest.param(2000, marks=pytest.mark.slow)])
def test_readers_never_notice_that_builds_and_collection_go_on(tmp_path: Path, builds: int) -> None:
    assert min(follow_builds(tmp_path / "index", builds, QuickFiles())) > 3
    assert len(IndexFolder(tmp_path / "index").generations()) <= 4


def hold(root: Path, ready: Any) -> None:
    with IndexFolder(root).open_current() as generation:
        ready.put(generation.number)
        signal.pause()


class NoLease(Wrapped):
    """A broken program: leases are not locks."""

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        if op == "lock" and args[0].parent.name == "leases":
            return os.open(args[0], os.O_RDWR | os.O_CREAT)
        return super().around(op, *args, **named)


@pytest.mark.parametrize(
    ("files", "kept"), [(QuickFiles(), [1, 3, 4]), (NoLease(QuickFiles()), [3, 4])], ids=["", "broken"]
)
def test_a_generation_that_another_process_reads_is_kept(tmp_path: Path, files: Any, kept: list[int]) -> None:
    """Until that process ends, by whatever means; the second case shows what the lease is good for."""
    root = tmp_path / "index"
    folder = IndexFolder(root, files)
    build(folder, 1)
    ready = FORK.Queue()
    reader = FORK.Process(target=hold, args=(root, ready))
    reader.start()
    assert ready.get(timeout=60) == 1
    for version in (2, 3, 4):
        build(folder, version)
    assert folder.generations() == kept
    reader.kill()
    reader.join(60)
    build(folder, 5)
    assert folder.generations() == [4, 5]
    assert version_of(folder) == (5, None)
