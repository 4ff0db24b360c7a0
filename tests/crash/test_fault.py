"""T3: every operation fails, once or from then on: no false success, nothing lost, the next try works."""

import errno
import os
import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from qa.errors import IndexBusy, IndexDamaged, QAError, StorageError
from qa.files import FileLayer, write_file
from qa.storage import GenerationWriter, IndexFolder

from .layers import CountingFiles, FaultFiles, MemoryFiles, QuickFiles
from .scenarios import ADD, AGAIN, COLLECT, DEAD, FIRST, ROLLBACK, Scenario, build, content, version_of

BASE = Path("/disk")
ROOT = BASE / "index"
FAULTS = (errno.ENOSPC, errno.EIO, errno.EMFILE, errno.EACCES, "short write", "no write")


def name_of(fault: int | str) -> str:
    return fault if isinstance(fault, str) else errno.errorcode[fault]


def prepared(scenario: Scenario) -> tuple[MemoryFiles, int]:
    """The folder before the scenario, and how many operations it takes."""
    template = MemoryFiles(BASE)
    scenario.prepare(ROOT, template)
    counting = CountingFiles(template.clone())
    scenario.act(IndexFolder(ROOT, counting))
    return template, len(counting.seen)


def leftovers(files: MemoryFiles) -> set[str]:
    return {name for name in files.plain().get("index", {}) if name.endswith(".tmp")}


def pointer(files: MemoryFiles) -> bytes | None:
    return files.plain().get("index", {}).get("CURRENT")


def run_with_fault(scenario: Scenario, template: MemoryFiles, target: int, fault: int | str) -> str:
    """Fail one operation once; check what must hold then; return "success" or the name of the error."""
    files = template.clone()
    faulty = FaultFiles(files, target, fault)
    try:
        number = scenario.act(IndexFolder(ROOT, faulty))
        outcome = "success"
    except QAError as error:
        outcome = type(error).__name__
        if isinstance(error, StorageError) and isinstance(fault, int):
            assert os.strerror(fault) in str(error)
            assert str(ROOT) in str(error)
    assert files.open_handles == 0
    found = version_of(IndexFolder(ROOT, files))
    if outcome == "success":
        # A rollback that cannot read CURRENT takes the newest generation, and says which it took.
        assert found == (number if scenario is ROLLBACK else scenario.new, None)
    else:
        assert pointer(files) == pointer(template)
        assert leftovers(files) <= leftovers(template)
        # A first build whose very last sync fails has nothing to go back to; its generation is whole.
        first = (1, f"{ROOT / 'CURRENT'} is missing")
        assert found == (scenario.old, None) or (scenario.old is None and found == first)
    check_next_build(files)
    return outcome


def check_next_build(files: MemoryFiles) -> None:
    build(IndexFolder(ROOT, files), 9)
    assert version_of(IndexFolder(ROOT, files)) == (9, None)
    assert leftovers(files) == set()
    assert len(IndexFolder(ROOT, files).generations()) <= 2


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
@pytest.mark.parametrize("scenario", [FIRST, COLLECT, ROLLBACK], ids=str)
def test_every_operation_fails_once(scenario: Scenario, fault: int | str) -> None:
    sweep(scenario, fault)


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
@pytest.mark.parametrize("scenario", [ADD, DEAD, AGAIN], ids=str)
def test_every_operation_fails_once_in_the_other_scenarios(scenario: Scenario, fault: int | str) -> None:
    sweep(scenario, fault)


def sweep(scenario: Scenario, fault: int | str) -> None:
    template, count = prepared(scenario)
    outcomes = {run_with_fault(scenario, template, target, fault) for target in range(1, count + 1)}
    if fault == "short write":
        assert outcomes == {"success"}
    else:
        assert {"success", "StorageError"} <= outcomes <= {"success", "StorageError", "IndexDamaged", "IndexMissing"}


@pytest.mark.parametrize("fault", [errno.ENOSPC, errno.EIO], ids=name_of)
@pytest.mark.parametrize("scenario", [FIRST, COLLECT], ids=str)
def test_every_operation_fails_from_some_point_on(scenario: Scenario, fault: int | str) -> None:
    template, count = prepared(scenario)
    for target in range(1, count + 1):
        files = template.clone()
        try:
            scenario.act(IndexFolder(ROOT, FaultFiles(files, target, fault, forever=True)))
            success = True
        except QAError:
            success = False
        assert files.open_handles == 0
        found, degraded = version_of(IndexFolder(ROOT, files))
        assert found == scenario.new if success else found in (scenario.old, scenario.new)
        assert degraded is None or scenario.old is None
        check_next_build(files)


@pytest.mark.parametrize("fault", FAULTS, ids=name_of)
def test_every_operation_of_a_reader_fails_once(fault: int | str) -> None:
    template = MemoryFiles(BASE)
    build(IndexFolder(ROOT, template), 1)
    build(IndexFolder(ROOT, template), 2)
    counting = CountingFiles(template.clone())
    version_of(IndexFolder(ROOT, counting))
    seen = set()
    for target in range(1, len(counting.seen) + 1):
        files = template.clone()
        try:
            found, degraded = version_of(IndexFolder(ROOT, FaultFiles(files, target, fault)))
            assert (found, degraded is None) in ((2, True), (1, False), (2, False))
            seen.add(found)
        except (StorageError, IndexDamaged) as error:
            seen.add(type(error).__name__)
        assert files.open_handles == 0
        assert version_of(IndexFolder(ROOT, files)) == (2, None)
    assert 2 in seen
    if fault == errno.EIO:
        assert 1 in seen, "a file that cannot be read is damage: the older generation stands in"
    if fault == errno.EMFILE:
        assert seen == {2, "StorageError"}, "too many open files says nothing about the index"


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("op", ["lock", "mkdir"])
def test_a_reader_that_cannot_make_a_lease_reads_without(op: str, code: int) -> None:
    files = MemoryFiles(BASE)
    build(IndexFolder(ROOT, files), 1)
    for name in files.listdir(ROOT / "leases"):
        files.unlink(ROOT / "leases" / name)
    files.rmdir(ROOT / "leases")

    class ReadOnly(FaultFiles):
        def around(self, name: str, *args: Any, **named: Any) -> Any:
            if name == op:
                raise OSError(code, os.strerror(code))
            return super().around(name, *args, **named)

    assert version_of(IndexFolder(ROOT, ReadOnly(files, 0, 0))) == (1, None)


def test_a_failed_fsync_is_never_tried_again() -> None:
    template, count = prepared(ADD)
    struck = 0
    for target in range(1, count + 1):
        files = CountingFiles(template.clone())
        faulty = FaultFiles(files, target, errno.EIO)
        try:
            ADD.act(IndexFolder(ROOT, faulty))
        except QAError:
            if faulty.struck == "fsync":
                struck += 1
                assert files.seen[target - 1] == "close", "straight after the fsync that failed"
                assert "fsync" not in files.seen[target - 1 :]
    assert struck == 5, "three data files, the manifest, the next CURRENT"


# The harness itself: with these defects in the program it has to fail.


def _no_restore(self: IndexFolder, before: bytes | None) -> None:
    pass


def _no_cleanup(self: GenerationWriter) -> None:
    self._open = False


def _unsynced(files: FileLayer, path: Path, data: bytes) -> None:
    try:
        write_file(files, path, data)
    except OSError:
        if path.name != "CURRENT.tmp":
            raise


@pytest.mark.parametrize(
    ("target", "name", "defect"),
    [
        (IndexFolder, "_restore", _no_restore),
        (GenerationWriter, "abandon", _no_cleanup),
        ("qa.storage", "write_file", _unsynced),
    ],
    ids=["a failed switch is left as it is", "a failed build is left as it is", "an error is swallowed"],
)
def test_the_sweep_catches_a_defect(target: Any, name: str, defect: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    if isinstance(target, str):
        monkeypatch.setattr(f"{target}.{name}", defect)
    else:
        monkeypatch.setattr(target, name, defect)
    with pytest.raises(AssertionError):
        sweep(ADD, errno.ENOSPC)


def test_an_unchecked_write_is_caught_when_the_bytes_are_read_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """What FAISS does on a full disk: it loses the tail and says nothing."""
    monkeypatch.setattr("qa.files._write_all", lambda files, handle, data: files.write(handle, memoryview(data)))
    template, _ = prepared(FIRST)
    files = template.clone()
    with pytest.raises(IndexDamaged, match="not the bytes that were written"):
        build(IndexFolder(ROOT, FaultFiles(files, 1, "short write", forever=True)), 1)
    assert version_of(IndexFolder(ROOT, files)) == (None, None)


# Real limits of the real system


def build_plain(folder: IndexFolder, version: int) -> None:
    with folder.builder() as builder:
        writer = builder.begin()
        for name, data in content(version).items():
            writer.write(name, data)
        writer.commit({"version": version})


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_file_size_limit(tmp_path: Path) -> None:
    """The kernel refuses the byte after the limit, in whatever file it falls."""
    folder = IndexFolder(tmp_path / "index", QuickFiles())
    build_plain(folder, 1)
    sizes = [0, 1, 100, 202, 203, 204, 400, *range(4090, 4100), 5007, 5008, 5009, 9598, 9599, 9600, 9601]
    codes = {}
    for size in sizes:
        child = os.fork()
        if child == 0:
            code = 9
            try:
                signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
                build_plain(folder, 2)
                code = 0
            except StorageError as error:
                code = 3 if "EFBIG" in str(error) else 4
            finally:
                os._exit(code)
        codes[size] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert version_of(folder) == (2 if codes[size] == 0 else 1, None)
        assert not list((tmp_path / "index").glob("*.tmp"))
    assert codes == {size: 0 if size >= 9600 else 3 for size in sizes}


def test_no_permission_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(StorageError, match=r"file: Not a directory \(ENOTDIR\)"),
        IndexFolder(tmp_path / "file").builder(),
    ):
        pass


def test_lock_is_free_after_every_failure() -> None:
    template, count = prepared(ADD)
    for target in range(1, count + 1):
        files = template.clone()
        try:
            ADD.act(IndexFolder(ROOT, FaultFiles(files, target, errno.EIO)))
        except QAError as error:
            assert not isinstance(error, IndexBusy)
        with IndexFolder(ROOT, files).builder():
            pass
