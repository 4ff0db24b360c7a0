"""T2: power loss at every operation, and proof that the simulator would notice a step left out of the protocol."""

import errno
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from qa.errors import QAError, StorageError
from qa.storage import IndexFolder

from .layers import MemoryFiles, QuickFiles, Wrapped
from .power import Disk, RecordingFiles
from .scenarios import ADD, COLLECT, SCENARIOS, Scenario, build, version_of

STATES = 400
"""Per scenario and run of `make test`."""
MANY = int(os.environ.get("POWER_STATES", "100000"))


class Mutant(Wrapped):
    """The program with one step of the commit protocol left out or done in another order."""

    def __init__(self, inner: Any, step: str) -> None:
        super().__init__(inner)
        self.step = step
        self.handles = {}
        self.last = ""
        self.current = None

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        if self.broken(op, args):
            return None
        result = super().around(op, *args, **named)
        if op in ("create", "open"):
            self.handles[result] = args[0].name
        if op == "replace":
            self.last = args[1].name
        return result

    def broken(self, op: str, args: Any) -> Any:
        """Whether the operation is skipped, or replaced by what this has just done."""
        if op == "fsync":
            name = self.handles[args[0]]
            kind = {"manifest.json": "manifest", "CURRENT.tmp": "pointer"}.get(name, "data files")
            return self.step == f"no fsync of {kind}"
        if op == "sync_folder":
            if args[0].name.endswith(".tmp"):
                return self.step == "no fsync of the generation's folder"
            last = "after the switch" if self.last == "CURRENT" else "before the switch"
            return bool(self.last) and self.step == f"no fsync of the index folder {last}"
        if op == "replace" and args[1].name == "CURRENT" and self.step == "pointer written in place":
            self.inner.rewrite(args[1], args[0].read_bytes())
            self.inner.unlink(args[0])
            self.last = "CURRENT"
            return True
        if op == "replace" and args[0].name.startswith("gen-") and self.step == "garbage before the switch":
            self.collect(args[0].parent)
        return False

    def collect(self, root: Path) -> Any:
        for path in sorted(root.glob("gen-*")):
            if not path.name.endswith(".tmp"):
                for file in path.iterdir():
                    self.inner.unlink(file)
                self.inner.rmdir(path)


MUTANTS = (
    "no fsync of data files",
    "no fsync of manifest",
    "no fsync of pointer",
    "no fsync of the generation's folder",
    "no fsync of the index folder before the switch",
    "no fsync of the index folder after the switch",
    "pointer written in place",
    "garbage before the switch",
)


def tree_of(path: Path) -> Any:
    return {p.name: tree_of(p) if p.is_dir() else p.read_bytes() for p in path.iterdir()}


def record(scenario: Scenario, base: Path, step: str | None = None) -> Any:
    """Run the scenario; return the disk before it and the operations."""
    root = base / "index"
    scenario.prepare(root, QuickFiles())
    before = tree_of(base)
    files = RecordingFiles(QuickFiles(), base)
    scenario.act(IndexFolder(root, Mutant(files, step) if step else files))
    return before, files.log


def survey(scenario: Scenario, before: dict[str, Any], log: list[tuple[Any, ...]], states: int, seed: int) -> Any:
    """Sample post-crash disks at every point; return how many were what, bad ones by reason."""
    rng = random.Random(seed)
    base = Path("/disk")
    counts = Counter()
    disk = Disk(before)
    # More after a rename and at the end, where the order of what is not synced matters most.
    weights = [1, *(12 if entry[0] == "replace" else 1 for entry in log[:-1]), 12]
    shares = [states * sum(weights[: n + 1]) // sum(weights) for n in range(len(weights))]
    for done, (start, stop) in enumerate(zip([0, *shares], shares, strict=False)):
        if done:
            disk.apply(*log[done - 1])
        success = done == len(log)
        for i in range(start, stop):
            files = MemoryFiles(base, disk.after_power_loss(rng))
            counts[judge(scenario, IndexFolder(base / "index", files), success, rebuild=i % 10 == 0)] += 1
    return counts


def judge(scenario: Scenario, folder: IndexFolder, success: bool, rebuild: bool) -> Any:
    try:
        found, degraded = version_of(folder)
        if success and found != scenario.new:
            return f"bad: success reported, then {found} found"
        # In the first build there may be a generation without CURRENT; any other time all must be as it was.
        if found not in (scenario.old, scenario.new) or (degraded and (success or scenario.old is not None)):
            return f"bad: {found}, {degraded}"
        if rebuild:
            build(folder, 9)
            if version_of(folder) != (9, None):
                return "bad: the next build is not live"
        return "new" if found == scenario.new else "old"
    except QAError as error:
        return f"bad: {type(error).__name__}"


def bad(counts: Counter[str]) -> Any:
    return {reason: n for reason, n in counts.items() if reason.startswith("bad")}


@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_power_loss_leaves_old_or_new_and_keeps_what_was_promised(scenario: Scenario, tmp_path: Path) -> None:
    before, log = record(scenario, tmp_path)
    counts = survey(scenario, before, log, STATES, seed=1)
    assert not bad(counts)
    assert sum(counts.values()) == STATES
    assert counts["old"] > STATES // 20
    assert counts["new"] > STATES // 100


@pytest.mark.parametrize("step", MUTANTS)
def test_the_simulator_catches_a_step_left_out(step: str, tmp_path: Path) -> None:
    before, log = record(COLLECT, tmp_path, step)
    assert bad(survey(COLLECT, before, log, STATES, seed=2)), "a weaker protocol passes: the simulator proves nothing"


class LastSyncFails(Wrapped):
    """The switch cannot be brought to the disk, and putting the old pointer back cannot either."""

    switched = False

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        self.switched = self.switched or (op == "replace" and args[1].name == "CURRENT")
        if op == "sync_folder" and self.switched:
            raise OSError(errno.EIO, "not synced")
        return super().around(op, *args, **named)


def fail_and_build_again(folder: IndexFolder) -> None:
    with pytest.raises(StorageError):
        build(IndexFolder(folder.root, LastSyncFails(folder._files)), 3)
    build(folder, 3)


def test_a_build_after_a_failed_sync_makes_sure_of_the_pointer_before_it_removes_anything(tmp_path: Path) -> None:
    """The pointer on the disk may name the failed generation, which the next build clears away."""
    scenario = Scenario("", COLLECT.prepare, fail_and_build_again, 2, 3)
    before, log = record(scenario, tmp_path)
    assert not bad(survey(scenario, before, log, 2 * STATES, seed=3))


def test_a_first_build_after_one_that_died_at_once_brings_the_folder_itself_to_the_disk(tmp_path: Path) -> None:
    def act(folder: IndexFolder) -> None:
        folder._files.mkdir(folder.root)
        build(folder, 1)

    scenario = Scenario("", lambda root, files: None, act, None, 1)
    before, log = record(scenario, tmp_path)
    assert not bad(survey(scenario, before, log, STATES, seed=4))


def test_recorded_operations_reproduce_the_real_folder(tmp_path: Path) -> None:
    """The simulator's disk, with nothing lost, is the disk."""
    before, log = record(ADD, tmp_path)
    disk = Disk(before)
    for entry in log:
        disk.apply(*entry)

    class Everything(random.Random):
        def choice(self, options: Any) -> Any:
            return options[0]  # all entries, bytes kept

    assert disk.after_power_loss(Everything()) == tree_of(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("scenario", SCENARIOS, ids=str)
def test_power_loss_many_states(scenario: Scenario, seed: int, tmp_path: Path) -> None:
    before, log = record(scenario, tmp_path)
    assert not bad(survey(scenario, before, log, MANY // len(SCENARIOS) // 10, seed=100 + seed))
