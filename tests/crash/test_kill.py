"""T1: SIGKILL before, halfway through and after every operation that changes the disk."""

import os
import shutil
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qa.storage import IndexFolder

from .layers import CHANGES, CountingFiles, KillFiles, QuickFiles, Wrapped
from .scenarios import COLLECT, DEAD, FIRST, ROLLBACK, SCENARIOS, Scenario, build, version_of

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


class InPlace(Wrapped):
    """A broken program: CURRENT is rewritten where it stands."""

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        if op == "replace" and args[1].name == "CURRENT":
            data = args[0].read_bytes()
            args[1].unlink(missing_ok=True)
            handle = self.inner.create(args[1])
            self.inner.write(handle, memoryview(data))
            self.inner.close(handle)
            return self.inner.unlink(args[0])
        return super().around(op, *args, **named)


def kill_points(scenario: Scenario, template: Path, every: Any = True) -> Any:
    """Every (operation, moment) of the scenario. Not `every`: without those after an operation.

    Nothing on the disk changes between the end of one operation and the start of the next, so these only double.
    """
    trial = template.parent / "trial"
    shutil.copytree(template, trial)
    files = CountingFiles(QuickFiles())
    scenario.act(IndexFolder(trial / "index", files))
    changes = [op for op in files.seen if op in CHANGES]
    points = [(i, when) for i in range(1, len(changes) + 1) for when in ("before", "middle", "after")]
    points = [(i, when) for i, when in points if when != "middle" or changes[i - 1] == "write"]
    return [point for point in points if every or point[1] != "after"]


def run_killed(scenario: Scenario, root: Path, target: int, when: str, broken: Any = None) -> Any:
    """Run the scenario in a forked child that kills itself."""
    child = os.fork()
    if child == 0:
        try:
            files = KillFiles(QuickFiles(), target, when)
            scenario.act(IndexFolder(root, broken(files) if broken else files))
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"not killed at operation {target} ({when})"
    assert os.WTERMSIG(status) == signal.SIGKILL


def check_survivor(scenario: Scenario, root: Path) -> Any:
    """Old or new, whole; then a build works and leaves nothing behind. Return the version found."""
    folder = IndexFolder(root, QuickFiles())
    found, degraded = version_of(folder)
    assert found in (scenario.old, scenario.new)
    if scenario.old is not None:
        assert degraded is None
    before = max([0, *folder.generations()])
    number = build(folder, 9)
    assert version_of(folder) == (9, None)
    assert number > before
    assert not [p for p in root.iterdir() if p.name.endswith(".tmp")]
    assert len(folder.generations()) <= 2
    assert {p.name for p in (root / "leases").iterdir()} <= {p.name for p in root.iterdir()}
    return found


def sweep(scenario: Scenario, tmp_path: Path, broken: Any = None, every: Any = True) -> Any:
    template = tmp_path / "template"
    template.mkdir()
    scenario.prepare(template / "index", QuickFiles())
    found = Counter()
    for target, when in kill_points(scenario, template, every):
        work = tmp_path / "work"
        shutil.copytree(template, work)
        run_killed(scenario, work / "index", target, when, broken)
        found[check_survivor(scenario, work / "index")] += 1
        shutil.rmtree(work)
    return found


@pytest.mark.parametrize("scenario", [FIRST, COLLECT, ROLLBACK, DEAD], ids=str)
def test_killed_at_every_operation_leaves_old_or_new_whole(scenario: Scenario, tmp_path: Path) -> None:
    found = sweep(scenario, tmp_path, every=scenario is COLLECT)
    assert set(found) == {scenario.old, scenario.new}, "both outcomes occur, else nothing was killed in between"


@pytest.mark.slow
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_killed_before_halfway_and_after_every_operation(scenario: Scenario, tmp_path: Path) -> None:
    sweep(scenario, tmp_path)


def test_the_sweep_catches_a_pointer_written_in_place(tmp_path: Path) -> None:
    with pytest.raises(AssertionError):
        sweep(COLLECT, tmp_path, InPlace, every=False)


def test_killed_builder_frees_the_lock_and_killed_reader_the_lease(tmp_path: Path) -> None:
    root = tmp_path / "index"
    build(IndexFolder(root), 1)
    ready, done = os.pipe()
    child = os.fork()
    if child == 0:
        folder = IndexFolder(root)
        generation = folder.open_current()
        with folder.builder():
            os.write(done, b"%d" % generation.number)
            signal.pause()
    os.read(ready, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    os.close(ready), os.close(done)
    folder = IndexFolder(root)
    build(folder, 2), build(folder, 3)
    assert folder.generations() == [2, 3]
