"""The index folder: immutable generations, one of them current; every byte checked before anybody uses it.

    index/
      CURRENT            which generation is live, with its manifest's hash; replaced atomically, never edited
      LOCK               held by the one process that builds or rolls back
      leases/gen-000042  held, shared, by every process that reads generation 42
      gen-000042/        complete and never changed; manifest.json lists its files with size and SHA-256
      gen-000043.tmp/    a build in progress, or a dead one

A build writes a new folder, syncs and checks it, renames it, and only then replaces ``CURRENT``: whatever kills it, the
old or the new generation is there, whole. Generations are numbered by counting, never by time. What stands in the files
is the business of others; the manifest carries their description as `about`.
"""

from __future__ import annotations

import errno
import json
import logging
import re
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path
from typing import Any, Self

from qa import __version__
from qa.errors import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing, StorageError
from qa.files import (
    FileLayer,
    OsFiles,
    copy_file,
    hash_file,
    read_file,
    remove_tree,
    storage_errors,
    sync_file,
    write_file,
)
from qa.manifest import (
    FORMAT,
    PLAIN_NAME,
    Listed,
    Manifest,
    Pointer,
    altered,
    damage_errors,
    expected_keys,
    parse_manifest,
    seal,
    sha256_hex,
    unseal,
)

__all__ = ["Builder", "Generation", "GenerationWriter", "IndexFolder"]


_MANIFEST = "manifest.json"
_CURRENT = "CURRENT"
_CURRENT_TEMP = "CURRENT.tmp"
_FOLDER = re.compile(r"gen-(\d{6,})(\.tmp)?")
_POINTER_BYTES = 1 << 16
_MANIFEST_BYTES = 1 << 26

# Without a lease a reader is safe too, as long as nothing collects its generation: better than no answers at all from
# a folder that is mounted read-only, belongs to somebody else or lies on a full disk.
_NO_LEASE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}

_log = logging.getLogger(__name__)


class Generation:
    """One complete generation, verified when it was opened and pinned until it is closed."""

    def __init__(self, files: FileLayer, path: Path, manifest: Manifest, lease: int | None) -> None:
        self.number = manifest.generation
        self.path = path
        self.about = manifest.about
        self.created_at = manifest.created_at
        self.program = manifest.program
        self.parent = manifest.parent
        self.manifest_sha256 = manifest.sha256
        self.degraded: str | None = None
        """Why this is not the generation that should be live; names the damaged file."""
        self._files = files
        self._listed = manifest.files
        self._lease = lease
        self._held: dict[str, bytes] = {}
        self._read_whole: set[str] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The names of its files, sorted."""
        return tuple(sorted(self._listed))

    def read(self, name: str) -> bytes:
        """Return the bytes of one file: those that were hashed. Raises `IndexDamaged` naming it, `StorageError`."""
        held = self._held.pop(name, None)
        if held is not None:
            return held
        path = self.file(name)
        listed = self._listed[name]
        with damage_errors(path):
            data = read_file(self._files, path, listed.size)
        if len(data) != listed.size or sha256_hex(data) != listed.sha256:
            raise altered(path)
        self._read_whole.add(name)
        return data

    def file(self, name: str) -> Path:
        """Return the path of a file that was verified at opening, for a library that reads it by itself.

        Open SQLite files with ``mode=ro&immutable=1``: no journal beside the file is then ever looked at.
        Raises `IndexDamaged` if the generation has no such file.
        """
        if name not in self._listed:
            raise IndexDamaged(f"{self.path / name}: generation {self.number} has no such file: run `qa index --full`")
        return self.path / name

    def verify(self) -> None:
        """Hash every file again. Raises `IndexDamaged` naming the first that is not what was written."""
        # A file that the manifest does not name is ignored, not refused: nothing ever opens it, and a stray .DS_Store
        # in each folder would otherwise make a healthy index unreadable.
        for name in self.names:
            self._check_file(name)

    def _check_file(self, name: str) -> None:
        path, listed = self.path / name, self._listed[name]
        with damage_errors(path):
            found = hash_file(self._files, path)
        if found != (listed.size, listed.sha256):
            raise altered(path)

    def _check_all(self, hold: Collection[str] = ()) -> None:
        """As `verify`, but not again what `read` has checked, and keeping the bytes of `hold` for it."""
        for name in self.names:
            if name in self._read_whole:
                continue
            if name in hold:
                self._held[name] = self.read(name)
            else:
                self._check_file(name)

    def close(self) -> None:
        """Release the lease; the folder may be collected from now on. May be called again."""
        self._held.clear()
        lease, self._lease = self._lease, None
        if lease is not None:
            _let_go(self._files, lease)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class IndexFolder:
    """The index folder of one corpus: opens generations, makes new ones, goes back to old ones.

    `hold` names the files that whoever opens a generation reads whole: their bytes are kept from the check until then,
    so that each is read and hashed once. `files` and `clock` are there for tests; the clock is information only,
    nothing is ordered or compared by it.
    """

    def __init__(
        self,
        root: Path,
        files: FileLayer | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        hold: Collection[str] = (),
    ) -> None:
        self.root = root
        self._files = files or OsFiles()
        self._clock = clock
        self._hold = hold

    # Reading

    def open_current(self) -> Generation:
        """Open the live generation or, if it is damaged, the newest other one that verifies, with `degraded` set.

        Raises `IndexMissing` before the first build, `IndexDamaged` if nothing verifies, `IndexMismatch` for a format
        from the future, `StorageError` when the system refuses (too many open files, no permission).
        """
        pointer, problem = self._read_current()
        while True:
            if pointer:
                try:
                    return self._open(pointer.generation, pointer.manifest_sha256)
                except IndexDamaged as error:
                    problem = str(error)
            # A file may be missing because a build finished and collected the folder in between. Try again only if
            # CURRENT has moved: every round then costs another process a whole build, so this ends.
            again = self._read_current()
            if again == (pointer, problem) or (pointer and again[0] == pointer):
                return self._fall_back(pointer, problem)
            pointer, problem = again

    def open_generation(self, number: int) -> Generation:
        """Open one generation by number. Raises `IndexMissing`, `IndexDamaged`, `IndexMismatch`, `StorageError`."""
        self._require(number)
        return self._open(number)

    def stamp(self) -> tuple[int, ...] | None:
        """Return a token that differs whenever CURRENT was replaced, cheap enough to ask for every second."""
        path = self.root / _CURRENT
        with storage_errors(path):
            identity = self._files.identity(path)
            data = self._read_optional(path)
        if identity is None or data is None:
            return None
        # The content too: an inode may be used again, and a clock may stand still.
        return *identity, int(sha256_hex(data)[:15], 16)

    def generations(self) -> list[int]:
        """Return the numbers of the complete generations on disk, ascending."""
        with storage_errors(self.root):
            return [n for n in self._folders() if self._files.identity(self._path(n) / _MANIFEST) is not None]

    def current_number(self) -> int | None:
        """Return the number in CURRENT, None before the first build. Raises `IndexDamaged` if it is unreadable."""
        pointer, problem = self._read_current()
        if problem:
            raise IndexDamaged(f"{problem}: run `qa index` or roll back")
        return pointer.generation if pointer else None

    # Changing

    @contextmanager
    def builder(self) -> Iterator[Builder]:
        """Hold the builder's lock, with what dead builds left behind cleared away.

        Raises `IndexBusy` at once if another process holds the lock, `IndexMismatch` if the live generation comes from
        a newer program, `StorageError`.
        """
        with storage_errors(self.root):
            self._make_root()
        with self._locked():
            builder = Builder(self, self._files)
            try:
                yield builder
            finally:
                builder.close()

    def rollback(self, to: int | None = None) -> int:
        """Make the generation that the live one was built from (or `to`) the live one; return its number.

        Also the way out when CURRENT or the live generation is damaged. Raises `IndexMissing` if there is none to go
        to, `IndexDamaged` if `to` does not verify, `IndexBusy`, `StorageError`.
        """
        if not self.generations():
            raise self._missing()
        if to is not None:
            self._require(to)
        with self._locked():
            pointer, _ = self._read_current()
            for number in [to] if to is not None else self._earlier(pointer):
                try:
                    with self._open(number) as generation:
                        sha256 = generation.manifest_sha256
                except (IndexDamaged, IndexMismatch):
                    if number == to:
                        raise
                    continue
                highest = max(number, pointer.highest if pointer else self._folders()[-1])
                self._switch(self._stage(Pointer(number, highest, sha256)))
                return number
        raise IndexMissing(f"no earlier generation in {self.root} can be opened: run `qa index --full`")

    # Inside: opening

    def _open(self, number: int, manifest_sha256: str | None = None) -> Generation:
        with ExitStack() as undo:
            lease = self._lease(number)
            if lease is not None:
                undo.callback(_let_go, self._files, lease)
            # Lease first, look second: what is there now stays there until the lease is released.
            folder = self._path(number)
            generation = Generation(self._files, folder, self._manifest(folder, number, manifest_sha256), lease)
            generation._check_all(self._hold)
            undo.pop_all()
        return generation

    def _fall_back(self, pointer: Pointer | None, problem: str | None) -> Generation:
        numbers = self.generations()
        if pointer:
            # Above `highest`: complete, but its build never finished, so nobody was promised that it would be used.
            numbers = [n for n in numbers if n <= pointer.highest and n != pointer.generation]
        elif not problem and not numbers:
            raise self._missing()
        problem = problem or f"{self.root / _CURRENT} is missing"
        for number in reversed(numbers):
            try:
                generation = self._open(number)
            except (IndexDamaged, IndexMismatch) as error:
                _log.warning("generation %d cannot stand in: %s", number, error)
                continue
            generation.degraded = problem
            return generation
        raise IndexDamaged(f"{problem}; no other generation can stand in: run `qa index --full`")

    def _lease(self, number: int) -> int | None:
        path = self._lease_path(number)
        try:
            self._make_folder(path.parent)
            lease = self._files.lock(path, exclusive=False)
        except OSError as error:
            if error.errno in _NO_LEASE:
                return None
            with storage_errors(path):
                raise
        if lease is None:
            raise IndexDamaged(f"{self._path(number)}: the generation is being removed")
        return lease

    def _manifest(self, folder: Path, number: int, expected: str | None = None) -> Manifest:
        path = folder / _MANIFEST
        with damage_errors(path):
            data = read_file(self._files, path, _MANIFEST_BYTES)
        if expected is not None and sha256_hex(data) != expected:
            raise altered(path)
        manifest = parse_manifest(data, path)
        if manifest.generation != number:
            raise IndexDamaged(f"{path}: says generation {manifest.generation}")
        return manifest

    def _read_current(self) -> tuple[Pointer | None, str | None]:
        """Return CURRENT's content, or what is wrong with it, or neither when there is none."""
        path = self.root / _CURRENT
        try:
            with damage_errors(path):
                data = self._read_optional(path)
            if data is None:
                return None, None
            body = unseal(data, path)
            with expected_keys(path):
                return Pointer(body["generation"], body["highest"], body["manifest_sha256"]), None
        except IndexDamaged as error:
            return None, str(error)

    def _read_optional(self, path: Path) -> bytes | None:
        try:
            return read_file(self._files, path, _POINTER_BYTES)
        except FileNotFoundError:
            return None

    def _require(self, number: int) -> None:
        known = self.generations()
        if number not in known:
            have = ", ".join(map(str, known)) or "none"
            raise IndexMissing(f"no generation {number} in {self.root}; there are: {have}")

    def _missing(self) -> IndexMissing:
        return IndexMissing(f"no index in {self.root} yet: run `qa index`")

    def _earlier(self, pointer: Pointer | None) -> list[int]:
        """Generations to go back to, best first: the one the live one was built from, then the newest."""
        if pointer is None:
            return self.generations()[::-1]
        earlier = [n for n in reversed(self.generations()) if n < pointer.generation]
        try:
            parent = self._manifest(self._path(pointer.generation), pointer.generation).parent
        except (IndexDamaged, IndexMismatch):
            return earlier
        return sorted(earlier, key=lambda n: n != parent)

    # Inside: names

    def _path(self, number: int, *, temp: bool = False) -> Path:
        return self.root / f"gen-{number:06d}{'.tmp' if temp else ''}"

    def _lease_path(self, number: int) -> Path:
        return self.root / "leases" / f"gen-{number:06d}"

    def _folders(self, *, temp: bool = False, within: str = "") -> list[int]:
        """Numbers of generation folders, ascending; anything else under index/ is none of our business."""
        try:
            names = self._files.listdir(self.root / within)
        except FileNotFoundError:
            return []
        found = ((name, _FOLDER.fullmatch(name)) for name in names)
        numbers = [int(match[1]) for name, match in found if match and bool(match[2]) == temp]
        return sorted(numbers)

    def _next_number(self, pointer: Pointer | None) -> int:
        known = [*self._folders(), *self._folders(temp=True), pointer.highest if pointer else 0]
        return max(known) + 1

    # Inside: changing

    def _make_root(self) -> None:
        missing = takewhile(lambda path: self._files.identity(path) is None, (self.root, *self.root.parents))
        for path in reversed(list(missing)):
            self._make_folder(path)
            self._files.sync_folder(path.parent)
        if self._files.identity(self.root / _CURRENT) is None:
            # A build that died before the first commit may have made the folder without bringing it to the disk.
            self._files.sync_folder(self.root.parent)
        self._make_folder(self.root / "leases")

    def _make_folder(self, path: Path) -> None:
        if self._files.identity(path) is None:
            with suppress(FileExistsError):  # another process was faster
                self._files.mkdir(path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        path = self.root / "LOCK"
        with storage_errors(path):
            lock = self._files.lock(path, exclusive=True)
        if lock is None:
            raise IndexBusy(f"another build is running (it holds {path}): try again when it has finished")
        try:
            yield
        finally:
            with suppress(OSError):  # what was done under the lock is done, whatever closing it says
                self._files.unlock(lock)

    def _stage(self, pointer: Pointer) -> bytes | None:
        """Write the next CURRENT beside the present one, which is returned; nothing that readers see has changed."""
        temp = self.root / _CURRENT_TEMP
        with storage_errors(temp):
            before = self._read_optional(self.root / _CURRENT)
            self._discard_file(temp)
            try:
                write_file(self._files, temp, seal(asdict(pointer)))
            except BaseException:
                with suppress(OSError):
                    self._discard_file(temp)
                raise
        return before

    def _switch(self, before: bytes | None) -> None:
        """Put the staged CURRENT into place, for good; if that cannot be brought to the disk, put the old one back."""
        path = self.root / _CURRENT
        with storage_errors(path):
            try:
                self._files.replace(self.root / _CURRENT_TEMP, path)
                self._files.sync_folder(self.root)
            except BaseException:
                self._restore(before)
                raise

    def _restore(self, before: bytes | None) -> None:
        path, temp = self.root / _CURRENT, self.root / _CURRENT_TEMP
        try:
            if self._read_optional(path) == before:
                self._discard_file(temp)
                return
            if before is None:
                self._files.unlink(path)
            else:
                # Put back even if it cannot be synced: what readers see must be what the caller is told.
                with suppress(OSError):
                    write_file(self._files, temp, before)
                if self._read_optional(temp) == before:
                    self._files.replace(temp, path)
            self._files.sync_folder(self.root)
        except OSError as error:
            _log.error("%s: could not be put back after a failed switch: %s", path, error)

    def _discard_file(self, path: Path) -> None:
        with suppress(FileNotFoundError):
            self._files.unlink(path)

    def _discard_temp(self, number: int) -> None:
        """Remove a dead or failed build; one that resists is left and its number passed over, never an obstacle."""
        path = self._path(number, temp=True)
        try:
            remove_tree(self._files, path)
        except OSError as error:
            _log.warning("%s: could not be removed: %s", path, error)

    def _remove(self, numbers: Iterable[int]) -> None:
        """Remove generations that nobody has a lease on. What cannot be removed now is the next build's garbage."""
        for number in numbers:
            path = self._lease_path(number)
            try:
                lease = self._files.lock(path, exclusive=True)
                if lease is None:
                    continue
                try:
                    if self._files.identity(self._path(number)) is not None:
                        # Renamed first: a folder with a generation's name is never half there.
                        self._files.replace(self._path(number), self._path(number, temp=True))
                        remove_tree(self._files, self._path(number, temp=True))
                    self._files.unlink(path)
                finally:
                    self._files.unlock(lease)
            except OSError as error:
                _log.warning("%s: could not be removed: %s", self._path(number), error)

    def _collect(self, live: int, parent: int | None) -> None:
        """Remove all but the live generation and its verified parent (without one, the newest other). Never raises."""
        try:
            others = set(self._folders()) - {live}
            keep = {live, max(others, default=live) if parent is None else parent}
            known = others | set(self._folders(within="leases"))
        except OSError as error:
            _log.warning("%s: could not be cleared of old generations: %s", self.root, error)
            return
        self._remove(sorted(known - keep))

    def _sweep(self, pointer: Pointer | None) -> None:
        """Clear away what builds left that were killed."""
        self._discard_file(self.root / _CURRENT_TEMP)
        for number in self._folders(temp=True):
            self._discard_temp(number)
        if pointer:
            # Killed between the rename and the switch. Only with a readable CURRENT: without one, any of these may
            # be the live generation.
            self._remove(n for n in self._folders() if n > pointer.highest)


class Builder:
    """The one process that may change the index just now; made by `IndexFolder.builder`."""

    def __init__(self, folder: IndexFolder, files: FileLayer) -> None:
        self.parent: Generation | None = None
        """The live generation, verified; None before the first build and when nothing verifies."""
        self.degraded: str | None = None
        """Why `parent` is not the generation that should be live."""
        self._folder = folder
        self._files = files
        self._writer: GenerationWriter | None = None
        with storage_errors(folder.root):
            # What a build that died after its switch has shown to readers must be on the disk before anything goes.
            files.sync_folder(folder.root)
            pointer, _ = folder._read_current()
            # Before the sweep: what it removes was on disk, and no number that ever was is given out again.
            self._floor = folder._next_number(pointer)
            folder._sweep(pointer)
        try:
            self.parent = folder.open_current()
            self.degraded = self.parent.degraded
        except IndexMissing:
            pass
        except IndexDamaged as error:
            self.degraded = str(error)

    def begin(self) -> GenerationWriter:
        """Start a generation, after abandoning one that was not committed. Raises `StorageError`."""
        if self._writer:
            if self._writer.committed:
                raise StorageError(f"generation {self._writer.number} is done: take a new builder for the next one")
            self._writer.abandon()
        with storage_errors(self._folder.root):
            number = max(self._floor, self._folder._next_number(None))
        self._writer = GenerationWriter(self._folder, self._files, number, self.parent)
        return self._writer

    def close(self) -> None:
        """Abandon what was not committed and release the parent. May be called again."""
        if self._writer:
            self._writer.abandon()
        if self.parent:
            self.parent.close()


class GenerationWriter:
    """A generation in the making; nothing of it is visible to readers before `commit` returns."""

    def __init__(self, folder: IndexFolder, files: FileLayer, number: int, parent: Generation | None) -> None:
        self.number = number
        self.committed = False
        self._folder = folder
        self._files = files
        self._parent = parent
        self._temp = folder._path(number, temp=True)
        self._listed: dict[str, Listed] = {}
        self._open = True
        self._renamed = False
        with storage_errors(self._temp):
            files.mkdir(self._temp)

    def write(self, name: str, data: bytes) -> None:
        """Write and sync one new file. Raises `StorageError`."""
        path = self.path(name)
        with storage_errors(path):
            write_file(self._files, path, data)
        self._listed[name] = Listed(len(data), sha256_hex(data))

    def read(self, name: str) -> bytes:
        """Return the bytes of a file written or sealed before. Raises `IndexDamaged`, `StorageError`."""
        path = self.path(name)
        if name not in self._listed:
            raise StorageError(f"{path}: not written yet")
        with storage_errors(path):
            data = read_file(self._files, path, self._listed[name].size)
        if sha256_hex(data) != self._listed[name].sha256:
            raise altered(path)
        return data

    def path(self, name: str) -> Path:
        """Return where a library may write a file by itself; `seal` it afterwards."""
        if not PLAIN_NAME.fullmatch(name) or name == _MANIFEST:
            raise StorageError(f"{name!r} cannot be the name of a file in the index")
        if not self._open:
            raise StorageError(f"generation {self.number} is committed or abandoned")
        return self._temp / name

    def seal(self, name: str) -> None:
        """Sync a file that a library wrote and has closed, and record its hash. Raises `StorageError`."""
        path = self.path(name)
        with storage_errors(path):
            sync_file(self._files, path)
            self._listed[name] = Listed(*hash_file(self._files, path))

    def copy_from(self, parent: Generation, name: str) -> Path:
        """Copy a file of an older generation as a start, to be changed and sealed; return its path.

        Raises `IndexDamaged` if the bytes copied are not those that were verified, `StorageError`.
        """
        source, target = parent.file(name), self.path(name)
        with storage_errors(target):
            sha256 = copy_file(self._files, source, target)
        if sha256 != parent._listed[name].sha256:
            raise altered(source)
        return target

    def commit(self, about: dict[str, Any], self_check: Callable[[Generation], None] | None = None) -> int:
        """Make this the live generation, whole and on the disk, and return its number.

        `about` is stored as JSON. `self_check` gets the generation opened as a reader would, before anybody sees it;
        whatever it raises ends the build. On any error the generation is removed and CURRENT is as it was. Afterwards
        older generations are collected, save the one this was built from and those that somebody reads.
        """
        self.path("any")  # still open?
        try:
            sha256 = self._write_manifest(about)
            self._check(sha256, self_check)
            final = self._folder._path(self.number)
            with storage_errors(final):
                self._files.replace(self._temp, final)
                self._renamed = True
                # Before the switch: CURRENT must never reach the disk ahead of the folder that it names.
                self._files.sync_folder(self._folder.root)
            before = self._folder._stage(Pointer(self.number, self.number, sha256))
        except BaseException:
            self.abandon()
            raise
        # From here on the folder stays even if the switch fails: CURRENT may have reached the disk. The next build
        # clears it away.
        self._open = False
        self._folder._switch(before)
        self.committed = True
        self._folder._collect(self.number, self._parent.number if self._parent else None)
        return self.number

    def abandon(self) -> None:
        """Remove what was written so far. May be called again, and does nothing after `commit`."""
        if not self._open:
            return
        self._open = False
        if self._renamed:
            self._folder._remove([self.number])
        else:
            self._folder._discard_temp(self.number)

    def _write_manifest(self, about: dict[str, Any]) -> str:
        manifest = self._temp / _MANIFEST
        with storage_errors(self._temp):
            unknown = set(self._files.listdir(self._temp)) - set(self._listed)
            if unknown:
                raise StorageError(f"{self._temp / min(unknown)}: was written but never sealed")
            data = seal(self._body(about))
            write_file(self._files, manifest, data)
            self._files.sync_folder(self._temp)
        return sha256_hex(data)

    def _body(self, about: dict[str, Any]) -> dict[str, Any]:
        try:
            plain = json.loads(json.dumps(about, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise StorageError(f"the description of generation {self.number} is not JSON: {error}") from error
        return {
            "format": FORMAT,
            "generation": self.number,
            "parent": self._parent.number if self._parent else None,
            "created_at": self._folder._clock().isoformat(timespec="seconds"),
            "program": f"sourceline {__version__}",
            "about": plain,
            "files": {name: {"size": f.size, "sha256": f.sha256} for name, f in self._listed.items()},
        }

    def _check(self, sha256: str, self_check: Callable[[Generation], None] | None) -> None:
        """Read every byte back and compare it with what was to be written, then ask the caller."""
        manifest = self._folder._manifest(self._temp, self.number, sha256)
        with Generation(self._files, self._temp, manifest, None) as generation:
            if self_check:
                self_check(generation)
            generation._check_all()


def _let_go(files: FileLayer, lease: int) -> None:
    # Nothing was written through it, so a failing close loses nothing and must not fail what was done. Not `unlock`: in
    # a forked server the other processes still hold this very lease.
    with suppress(OSError):
        files.close(lease)
