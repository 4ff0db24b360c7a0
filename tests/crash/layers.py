"""File layers for tests: each stands where `OsFiles` stands in the program."""

from __future__ import annotations

import copy
import errno
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from qa.files import OsFiles

CHANGES = ("mkdir", "create", "write", "fsync", "sync_folder", "replace", "unlink", "rmdir", "lock", "unlock")
LOOKS = ("open", "read", "close", "listdir", "identity")


class Wrapped:
    """Hands every operation to `inner`, through `around`; `scribble` stands for a library that writes by itself."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        return getattr(self.inner, op)(*args, **named)

    def scribble(self, path: Path, data: bytes) -> None:
        scribble(self.inner, path, data)


def _forward(op: str) -> Callable[..., Any]:
    def method(self: Wrapped, *args: Any, **named: Any) -> Any:
        return self.around(op, *args, **named)

    return method


for _op in CHANGES + LOOKS:
    setattr(Wrapped, _op, _forward(_op))


def scribble(files: Any, path: Path, data: bytes) -> None:
    """Write a file as SQLite would: behind the layer's back."""
    if hasattr(files, "scribble"):
        files.scribble(path, data)
    else:
        path.write_bytes(data)


class QuickFiles(OsFiles):
    """Real files, never synced: for tests of what the page cache survives anyway."""

    def fsync(self, handle: int) -> None:
        pass

    def sync_folder(self, path: Path) -> None:
        if not path.is_dir():
            raise FileNotFoundError(errno.ENOENT, "no such folder", str(path))


class CountingFiles(Wrapped):
    """Lists the operations."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner)
        self.seen: list[str] = []

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        self.seen.append(op)
        return super().around(op, *args, **named)


class KillFiles(Wrapped):
    """Kills the process before, halfway through or after the n-th operation that changes something."""

    def __init__(self, inner: Any, target: int, when: str) -> None:
        super().__init__(inner)
        self.left = target
        self.when = when

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        if op not in CHANGES:
            return super().around(op, *args, **named)
        self.left -= 1
        if self.left:
            return super().around(op, *args, **named)
        try:
            if self.when == "middle":
                super().around(op, args[0], args[1][: len(args[1]) // 2])
            if self.when == "after":
                super().around(op, *args, **named)
        finally:
            os.kill(os.getpid(), signal.SIGKILL)


class FaultFiles(Wrapped):
    """Fails the n-th operation, once or for ever, with an errno or a short write."""

    def __init__(self, inner: Any, target: int, fault: int | str, forever: bool = False) -> None:
        super().__init__(inner)
        self.left = target
        self.fault = fault
        self.forever = forever
        self.struck = ""

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        self.left -= 1
        if not (self.left == 0 or (self.forever and self.left < 0)):
            return super().around(op, *args, **named)
        self.struck = self.struck or op
        if isinstance(self.fault, str):
            if op == "write":
                args = (args[0], args[1][: 0 if self.fault == "no write" else (len(args[1]) + 1) // 2])
            return super().around(op, *args, **named)
        if op in ("close", "unlock"):  # the kernel closes even if it then complains
            super().around(op, *args, **named)
        raise OSError(self.fault, os.strerror(self.fault))


class HookFiles(Wrapped):
    """Calls `hook` once, just before the first operation `op` on a path that ends in `name`."""

    def __init__(self, inner: Any, op: str, name: str, hook: Callable[[], None]) -> None:
        super().__init__(inner)
        self.op, self.name, self.hook = op, name, hook
        self.done = False

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        if not self.done and op == self.op and str(args[0]).endswith(self.name):
            self.done = True
            self.hook()
        return super().around(op, *args, **named)


class _File:
    def __init__(self, inode: int, data: bytes) -> None:
        self.inode = inode
        self.data = data


class MemoryFiles:
    """Files in memory under one folder that is always there; the rules of `OsFiles` (one contract test holds both)."""

    def __init__(self, base: Path, tree: dict[str, Any] | None = None) -> None:
        self.base = base
        self._count = 0
        self._handles: dict[int, list[Any]] = {}
        self._locks: dict[int, tuple[_File, bool]] = {}
        self.tree: dict[str, Any] = self._grow(tree or {})

    def _grow(self, tree: dict[str, Any]) -> dict[str, Any]:
        return {n: self._grow(v) if isinstance(v, dict) else _File(self._next(), v) for n, v in tree.items()}

    def _next(self) -> int:
        self._count += 1
        return self._count

    def clone(self) -> MemoryFiles:
        assert not self._locks
        return copy.deepcopy(self)

    def plain(self) -> dict[str, Any]:
        """The whole tree as nested dicts of bytes."""

        def shed(node: dict[str, Any]) -> dict[str, Any]:
            return {n: shed(v) if isinstance(v, dict) else v.data for n, v in node.items()}

        return shed(self.tree)

    def _node(self, path: Path) -> Any:
        node: Any = self.tree
        for part in path.parts[len(self.base.parts) :]:
            if not isinstance(node, dict):
                raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
            if part not in node:
                raise FileNotFoundError(errno.ENOENT, "nothing there", str(path))
            node = node[part]
        return node

    def _folder(self, path: Path) -> dict[str, Any]:
        node = self._node(path)
        if not isinstance(node, dict):
            raise NotADirectoryError(errno.ENOTDIR, "not a folder", str(path))
        return node

    def _handle(self, file: _File) -> int:
        number = self._next()
        self._handles[number] = [file, 0]
        return number

    def scribble(self, path: Path, data: bytes) -> None:
        self._folder(path.parent).setdefault(path.name, _File(self._next(), b"")).data = data

    def mkdir(self, path: Path) -> None:
        folder = self._folder(path.parent)
        if path.name in folder:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        folder[path.name] = {}

    def create(self, path: Path) -> int:
        folder = self._folder(path.parent)
        if path.name in folder:
            raise FileExistsError(errno.EEXIST, "exists", str(path))
        folder[path.name] = _File(self._next(), b"")
        return self._handle(folder[path.name])

    def open(self, path: Path) -> int:
        node = self._node(path)
        if isinstance(node, dict):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        return self._handle(node)

    def read(self, handle: int, size: int) -> bytes:
        state = self._handles[handle]
        part = state[0].data[state[1] : state[1] + size]
        state[1] += len(part)
        return part

    def write(self, handle: int, data: memoryview) -> int:
        self._handles[handle][0].data += bytes(data)
        return len(data)

    def fsync(self, handle: int) -> None:
        assert handle in self._handles

    def close(self, handle: int) -> None:
        self._locks.pop(handle, None)
        del self._handles[handle]

    def sync_folder(self, path: Path) -> None:
        self._folder(path)

    def replace(self, source: Path, target: Path) -> None:
        node = self._node(source)
        there = self._folder(target.parent).get(target.name)
        if isinstance(there, dict) and (there or not isinstance(node, dict)):
            raise OSError(errno.ENOTEMPTY, "not empty", str(target))
        del self._folder(source.parent)[source.name]
        self._folder(target.parent)[target.name] = node

    def unlink(self, path: Path) -> None:
        if isinstance(self._node(path), dict):
            raise IsADirectoryError(errno.EISDIR, "a folder", str(path))
        del self._folder(path.parent)[path.name]

    def rmdir(self, path: Path) -> None:
        if self._folder(path):
            raise OSError(errno.ENOTEMPTY, "not empty", str(path))
        del self._folder(path.parent)[path.name]

    def listdir(self, path: Path) -> list[str]:
        return list(self._folder(path))

    def identity(self, path: Path) -> tuple[int, int, int] | None:
        try:
            node = self._node(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return (0, 0, 0) if isinstance(node, dict) else (node.inode, 0, len(node.data))

    def lock(self, path: Path, *, exclusive: bool) -> int | None:
        file = self._folder(path.parent).setdefault(path.name, _File(self._next(), b""))
        if any(held is file and (exclusive or alone) for held, alone in self._locks.values()):
            return None
        handle = self._handle(file)
        self._locks[handle] = (file, exclusive)
        return handle

    def unlock(self, handle: int) -> None:
        self.close(handle)

    @property
    def open_handles(self) -> int:
        return len(self._handles)
