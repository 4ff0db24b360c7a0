"""The corpus folder: which files there are, and their bytes. Nothing outside the folder is ever opened."""

from __future__ import annotations

import errno
import os
import stat
import unicodedata
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from qa.errors import ReaderError

__all__ = ["MAX_FILE_BYTES", "CorpusScan", "SourceFile", "load_file", "scan_folder"]

MAX_FILE_BYTES = 50_000_000
_BLOCK = 1 << 20
_UNFINISHED = (".tmp", ".part", "~")
"""Endings under which programs write a file before they rename it, and under which editors keep the one before."""
_MISSING = "no such corpus folder; set paths.corpus in qa.toml, or QA_PATHS__CORPUS, to the folder with the articles"
_CHANGED = "changed while it was being read; it is read again at the next build"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file of the corpus as the scan saw it. `path` is POSIX, relative to the corpus."""

    path: str
    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True, slots=True)
class CorpusScan:
    """What lies in the corpus folder: files to read, names of files in no known format, and entries out of reach."""

    files: tuple[SourceFile, ...]
    ignored: tuple[str, ...]
    problems: tuple[ReaderError, ...]


def scan_folder(root: Path, suffixes: Collection[str]) -> CorpusScan:
    """List the files under `root` that end in one of `suffixes`, sorted by path.

    Links are never followed. Raises `ReaderError` when the folder itself cannot be listed.
    """
    files: list[SourceFile] = []
    ignored: list[str] = []
    problems: list[ReaderError] = []
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            with os.scandir(root / folder) as listing:
                entries = list(listing)
        except OSError as error:
            if not folder:
                raise _folder_error(root, error) from None
            problems.append(ReaderError(folder, f"the folder cannot be listed: {_reason(error)}"))
            continue
        for entry in entries:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if _is_skipped(path):
                continue
            try:
                found = _look_at(entry, path, suffixes)
            except ReaderError as error:
                problems.append(error)
                continue
            if isinstance(found, SourceFile):
                files.append(found)
            else:
                (folders if found == "folder" else ignored).append(path)
    return CorpusScan(
        tuple(sorted(files, key=lambda file: file.path)),
        tuple(sorted(ignored)),
        tuple(sorted(problems, key=lambda error: error.path)),
    )


def load_file(root: Path, source: SourceFile, max_bytes: int = MAX_FILE_BYTES) -> bytes:
    """Return the bytes of one file, whole. Raises `ReaderError` when it is not a file, too large, or being written."""
    descriptor = _open_beneath(root, source.path)
    try:
        before = os.fstat(descriptor)
        if not stat.S_ISREG(before.st_mode):
            raise ReaderError(source.path, "not a regular file")
        if before.st_size > max_bytes:
            raise ReaderError(source.path, f"larger than {max_bytes:,} bytes ({before.st_size:,})")
        # Written in place since the scan: a writer is at work. Another inode is a finished file put in its place.
        if before.st_ino == source.inode and _stamp(before)[:3] != (source.inode, source.size, source.mtime_ns):
            raise ReaderError(source.path, _CHANGED)
        data = _read(descriptor, max_bytes + 1)
        if _stamp(os.fstat(descriptor)) != _stamp(before) or len(data) != before.st_size:
            raise ReaderError(source.path, _CHANGED)
        return data
    except OSError as error:
        raise ReaderError(source.path, f"cannot be read: {_reason(error)}") from None
    finally:
        os.close(descriptor)


def _is_skipped(path: str) -> bool:
    name = path.rsplit("/", 1)[-1]
    # The README at the top tells people about the folder; deeper down one may well be an article.
    return name.startswith((".", "~")) or name.casefold().endswith(_UNFINISHED) or path.casefold() == "readme.md"


def _look_at(entry: os.DirEntry[str], path: str, suffixes: Collection[str]) -> SourceFile | str:
    """Return the file to read, or "folder" or "ignored"."""
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in entry.name):
        shown = path.encode("unicode_escape").decode("ascii")
        raise ReaderError(shown, "the name holds bytes that are not UTF-8 or control characters; rename it")
    is_article = PurePosixPath(entry.name).suffix.casefold() in suffixes
    try:
        status = entry.stat(follow_symlinks=False)
    except OSError as error:
        raise ReaderError(path, f"cannot be read: {_reason(error)}") from None
    if stat.S_ISDIR(status.st_mode):
        return "folder"
    if not is_article and not stat.S_ISLNK(status.st_mode):
        return "ignored"
    if stat.S_ISLNK(status.st_mode):
        raise ReaderError(path, "a link, and links are not followed; put the file itself into the corpus")
    if not stat.S_ISREG(status.st_mode):
        raise ReaderError(path, "not a regular file")
    return SourceFile(path, status.st_size, status.st_mtime_ns, status.st_ino)


def _open_beneath(root: Path, path: str) -> int:
    """Open `path` folder by folder without following links, so that no swap between scan and read leads outside."""
    parts = PurePosixPath(path).parts
    if not parts or any(part in ("..", "/") for part in parts):
        raise ReaderError(path, "outside the corpus")
    try:
        descriptor = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise _folder_error(root, error) from None
    try:
        for index, part in enumerate(parts):
            # Without O_NONBLOCK, opening a named pipe would wait for its writer for ever.
            kind = os.O_DIRECTORY if index < len(parts) - 1 else os.O_NONBLOCK
            inner = os.open(part, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | kind, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
    except OSError as error:
        os.close(descriptor)
        if error.errno == errno.ELOOP:
            raise ReaderError(path, "a link, and links are not followed") from None
        raise ReaderError(path, f"cannot be opened: {_reason(error)}") from None
    return descriptor


def _read(descriptor: int, limit: int) -> bytes:
    blocks: list[bytes] = []
    while limit > 0 and (block := os.read(descriptor, min(_BLOCK, limit))):
        blocks.append(block)
        limit -= len(block)
    return b"".join(blocks)


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _folder_error(root: Path, error: OSError) -> ReaderError:
    if isinstance(error, (FileNotFoundError, NotADirectoryError)):
        return ReaderError(str(root), _MISSING)
    return ReaderError(str(root), f"the corpus folder cannot be listed: {_reason(error)}")


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()
