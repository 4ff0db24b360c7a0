"""The few file operations that the index needs, behind one protocol, and what is built from them.

`FileLayer` stands between the index and the operating system so that tests can fail, kill or record every single
operation; the program itself always uses `OsFiles`. The functions below it are the only users of the raw operations:
checked writes, whole reads, hashes, copies, removal.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from qa.errors import StorageError

__all__ = [
    "FileLayer",
    "OsFiles",
    "append_line",
    "copy_file",
    "hash_file",
    "read_file",
    "remove_tree",
    "storage_errors",
    "sync_file",
    "write_file",
]

_BLOCK = 1 << 20

_WAY_OUT = {
    errno.ENOSPC: "free some space and try again",
    errno.EDQUOT: "free some space and try again",
    errno.EMFILE: "too few open files are allowed (ulimit -n)",
    errno.EACCES: "check who owns the folder",
    errno.EPERM: "check who owns the folder",
    errno.EROFS: "the file system is mounted read-only",
}


class FileLayer(Protocol):
    """Single operations of the file system; each raises `OSError`. Handles are file descriptors."""

    def mkdir(self, path: Path) -> None:
        """Make one folder, readable by its owner alone."""
        ...

    def create(self, path: Path) -> int:
        """Open a file that must not exist yet for writing."""
        ...

    def open(self, path: Path) -> int:
        """Open a regular file for reading; a link, pipe or folder is an error."""
        ...

    def read(self, handle: int, size: int) -> bytes:
        """Read at most `size` bytes; none at the end."""
        ...

    def write(self, handle: int, data: memoryview) -> int:
        """Write some of `data` and return how much."""
        ...

    def fsync(self, handle: int) -> None:
        """Bring a file's bytes to the disk."""
        ...

    def close(self, handle: int) -> None:
        """Close a handle; a lock on it is given up with the last copy of the handle."""
        ...

    def sync_folder(self, path: Path) -> None:
        """Bring a folder's entries to the disk."""
        ...

    def replace(self, source: Path, target: Path) -> None:
        """Rename atomically, over a file that exists."""
        ...

    def unlink(self, path: Path) -> None:
        """Remove a file."""
        ...

    def rmdir(self, path: Path) -> None:
        """Remove an empty folder."""
        ...

    def listdir(self, path: Path) -> list[str]:
        """Names in a folder, in any order."""
        ...

    def identity(self, path: Path) -> tuple[int, int, int] | None:
        """Inode, modification time in ns and size; None if there is nothing."""
        ...

    def lock(self, path: Path, *, exclusive: bool) -> int | None:
        """Open (making it if need be) and lock a file without waiting; None if another holder is in the way."""
        ...

    def unlock(self, handle: int) -> None:
        """Give up a lock, whoever else has a copy of the handle, and close it."""
        ...


class OsFiles:
    """`FileLayer` on the operating system."""

    def mkdir(self, path: Path) -> None:
        """See `FileLayer`."""
        os.mkdir(path, 0o700)

    def create(self, path: Path) -> int:
        """See `FileLayer`."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)

    def open(self, path: Path) -> int:
        """See `FileLayer`."""
        # O_NONBLOCK: a pipe put in a file's place must not hang the reader.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            os.close(handle)
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return handle

    def read(self, handle: int, size: int) -> bytes:
        """See `FileLayer`."""
        return os.read(handle, size)

    def write(self, handle: int, data: memoryview) -> int:
        """See `FileLayer`."""
        return os.write(handle, data)

    def fsync(self, handle: int) -> None:
        """See `FileLayer`."""
        os.fsync(handle)

    def close(self, handle: int) -> None:
        """See `FileLayer`."""
        os.close(handle)

    def sync_folder(self, path: Path) -> None:
        """See `FileLayer`."""
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

    def replace(self, source: Path, target: Path) -> None:
        """See `FileLayer`."""
        os.replace(source, target)

    def unlink(self, path: Path) -> None:
        """See `FileLayer`."""
        os.unlink(path)

    def rmdir(self, path: Path) -> None:
        """See `FileLayer`."""
        os.rmdir(path)

    def listdir(self, path: Path) -> list[str]:
        """See `FileLayer`."""
        return os.listdir(path)

    def identity(self, path: Path) -> tuple[int, int, int] | None:
        """See `FileLayer`."""
        try:
            found = os.stat(path, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size

    def lock(self, path: Path, *, exclusive: bool) -> int | None:
        """See `FileLayer`."""
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB)
            found = self.identity(path)
            # A lock on a file that was removed since it was opened keeps nobody out.
            if found is not None and found[0] == os.fstat(handle).st_ino:
                return handle
        except BlockingIOError:
            pass
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)
        return None

    def unlock(self, handle: int) -> None:
        """See `FileLayer`."""
        try:
            fcntl.flock(handle, fcntl.LOCK_UN)
        finally:
            os.close(handle)


@contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` inside the block into a `StorageError` that names `path`, the cause and a way out."""
    try:
        yield
    except OSError as error:
        number = error.errno or errno.EIO
        message = f"{path}: {os.strerror(number)} ({errno.errorcode.get(number, number)})"
        hint = _WAY_OUT.get(number)
        raise StorageError(f"{message}: {hint}" if hint else message) from error


def write_file(files: FileLayer, path: Path, data: bytes) -> None:
    """Create `path` with `data` and bring it to the disk. Raises `OSError`; the file may then exist in part."""
    handle = files.create(path)
    try:
        _write_all(files, handle, data)
        # A failed fsync is final: the kernel may have dropped the bytes and would report success the second time.
        files.fsync(handle)
    finally:
        files.close(handle)


def append_line(path: Path, line: bytes, limit: int) -> bool:
    """Append one line to a file, made if need be, and bring it to the disk; False: it would exceed `limit` bytes.

    One write, so that lines of several processes never mix. What a dead process left of a line is closed first.
    Raises `OSError`.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    handle = os.open(path, flags, 0o600)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line + b"\n"
        if size + len(data) > limit:
            return False
        if os.write(handle, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def sync_file(files: FileLayer, path: Path) -> None:
    """Bring a file that somebody else wrote to the disk. Raises `OSError`."""
    handle = files.open(path)
    try:
        files.fsync(handle)
    finally:
        files.close(handle)


def read_file(files: FileLayer, path: Path, size: int) -> bytes:
    """Return the bytes of `path`, at most ``size + 1`` so that a file that grew shows. Raises `OSError`."""
    handle = files.open(path)
    parts: list[bytes] = []
    left = size + 1
    try:
        while left and (part := files.read(handle, left)):
            parts.append(part)
            left -= len(part)
    finally:
        files.close(handle)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def hash_file(files: FileLayer, path: Path) -> tuple[int, str]:
    """Return size and SHA-256 (hex) of `path`, read in blocks. Raises `OSError`."""
    handle = files.open(path)
    digest = hashlib.sha256()
    size = 0
    try:
        while block := files.read(handle, _BLOCK):
            digest.update(block)
            size += len(block)
    finally:
        files.close(handle)
    return size, digest.hexdigest()


def copy_file(files: FileLayer, source: Path, target: Path) -> str:
    """Copy into a new file, without bringing it to the disk; return the SHA-256 (hex) of what was copied."""
    digest = hashlib.sha256()
    reading = files.open(source)
    try:
        writing = files.create(target)
        try:
            while block := files.read(reading, _BLOCK):
                digest.update(block)
                _write_all(files, writing, block)
        finally:
            files.close(writing)
    finally:
        files.close(reading)
    return digest.hexdigest()


def remove_tree(files: FileLayer, path: Path) -> None:
    """Remove a folder and all in it, following no links. Raises `OSError`."""
    for name in files.listdir(path):
        try:
            files.unlink(path / name)
        except (IsADirectoryError, PermissionError):  # the latter on systems other than Linux
            remove_tree(files, path / name)
    files.rmdir(path)


def _write_all(files: FileLayer, handle: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        count = files.write(handle, rest)
        if count <= 0:
            raise OSError(errno.EIO, "nothing was written")
        rest = rest[count:]
