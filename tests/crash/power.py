"""Which disks a power failure may leave behind.

`RecordingFiles` writes down every operation on real files. `Disk` replays them and knows at each point what is
certainly on the disk: file bytes up to the last fsync of the file, folder entries up to the last sync of the folder.
Everything later may or may not be there: unsynced bytes are kept, lost, cut or zeroed, unsynced folder entries applied
in order up to some point or picked at random. Syncing a file does not keep its name: harsher than most file systems.
"""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from .layers import Wrapped

_PAGE = 4096


class RecordingFiles(Wrapped):
    """Writes down operations as paths relative to `base`; sees what libraries wrote when the file is synced."""

    def __init__(self, inner: Any, base: Path) -> None:
        super().__init__(inner)
        self.base = base
        self.log: list[tuple[Any, ...]] = []
        self._names: dict[int, Path] = {}
        self._bytes: dict[Path, bytes] = {}

    def note(self, op: str, path: Path, *more: Any) -> None:
        self.log.append((op, path.relative_to(self.base).parts, *more))

    def around(self, op: str, *args: Any, **named: Any) -> Any:
        new_lock = op == "lock" and not args[0].exists()
        result = super().around(op, *args, **named)
        if op in ("create", "open"):
            self._names[result] = args[0]
        if op == "create" or new_lock:
            self.note("create", args[0])
        elif op == "open" and args[0].parent.name.endswith(".tmp"):
            self._look(args[0])
        elif op == "write":
            self.note("write", self._names[args[0]], bytes(args[1][:result]))
        elif op == "fsync":
            self._look(self._names[args[0]])
            self.note("fsync", self._names[args[0]])
        elif op == "replace":
            self.note(op, args[0], args[1].relative_to(self.base).parts)
        elif op in ("mkdir", "sync_folder", "unlink", "rmdir"):
            self.note(op, args[0])
        return sorted(result) if op == "listdir" else result

    def _look(self, path: Path) -> None:
        """Note what somebody may have written behind the layer's back."""
        data = path.read_bytes()
        if self._bytes.get(path) != data:
            self._bytes[path] = data
            self.note("content", path, data)

    def rewrite(self, path: Path, data: bytes) -> None:
        """For broken programs: write a file where it stands."""
        if path.exists():
            self.note("truncate", path)
        else:
            self.note("create", path)
        path.write_bytes(data)
        self.note("write", path, data)


class _Folder:
    def __init__(self) -> None:
        self.safe: dict[str, Any] = {}
        self.now: dict[str, Any] = {}
        self.pending: list[tuple[int, dict[str, Any]]] = []


class _File:
    def __init__(self, data: bytes = b"") -> None:
        self.safe = data
        self.now = data


class Disk:
    """The state of a disk while operations go on. `tree` is what was there before, all of it safe."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self._tick = 0
        self.root = self._load(tree)

    def _load(self, tree: dict[str, Any]) -> _Folder:
        folder = _Folder()
        folder.safe = {n: self._load(v) if isinstance(v, dict) else _File(v) for n, v in tree.items()}
        folder.now = dict(folder.safe)
        return folder

    def _find(self, parts: tuple[str, ...]) -> Any:
        node: Any = self.root
        for part in parts:
            node = node.now[part]
        return node

    def _change(self, folder: _Folder, change: dict[str, Any]) -> None:
        """`change` maps names to what they now stand for (None: nothing); one rename is one change."""
        self._tick += 1
        folder.pending.append((self._tick, change))
        _apply(folder.now, change)

    def apply(self, op: str, parts: tuple[str, ...], *more: Any) -> None:
        """Replay one recorded operation."""
        if op == "sync_folder":
            folder = self._find(parts)
            folder.safe, folder.pending = dict(folder.now), []
        elif op in ("write", "content", "truncate", "fsync"):
            self._apply_bytes(op, parts, *more)
        elif op == "replace":
            assert parts[:-1] == more[0][:-1]
            folder = self._find(parts[:-1])
            self._change(folder, {parts[-1]: None, more[0][-1]: folder.now[parts[-1]]})
        else:
            made = {"mkdir": _Folder, "create": _File}.get(op)
            self._change(self._find(parts[:-1]), {parts[-1]: made() if made else None})

    def _apply_bytes(self, op: str, parts: tuple[str, ...], *more: Any) -> None:
        if op == "content" and parts[-1] not in self._find(parts[:-1]).now:
            self._change(self._find(parts[:-1]), {parts[-1]: _File()})
        file = self._find(parts)
        if op == "write":
            file.now += more[0]
        elif op == "content":
            file.now = more[0]
        elif op == "truncate":
            file.now = b""
        else:
            file.safe = file.now

    def after_power_loss(self, rng: random.Random) -> dict[str, Any]:
        """One disk that may be found when the power comes back."""
        way = rng.choice(("all", "none", "ordered", "any", "any"))
        until = rng.randint(0, self._tick)
        return self._settle(self.root, rng, way, until, rng.choice(("kept", "lost", "cut", "zeroed", "mixed")))

    def _settle(self, folder: _Folder, rng: random.Random, way: str, until: int, bytes_: str) -> dict[str, Any]:
        entries = dict(folder.safe)
        for tick, change in folder.pending:
            if way == "all" or (way == "ordered" and tick <= until) or (way == "any" and rng.random() < 0.5):
                _apply(entries, change)

        def settle(node: _Folder | _File) -> Any:
            if isinstance(node, _File):
                return _bytes(node, rng, bytes_)
            return self._settle(node, rng, way, until, bytes_)

        return {name: settle(node) for name, node in entries.items()}


def _apply(entries: dict[str, Any], change: dict[str, Any]) -> None:
    for name, node in change.items():
        if node is None:
            entries.pop(name, None)
        else:
            entries[name] = node


def _bytes(file: _File, rng: random.Random, way: str) -> bytes:
    if file.safe == file.now:
        return file.now
    if way == "mixed":
        way = rng.choice(("kept", "lost", "cut", "zeroed"))
    if way == "kept":
        return file.now
    if way == "lost":
        return file.safe
    if way == "cut":
        return file.now[: rng.randint(0, len(file.now))]
    pages = [file.now[i : i + _PAGE] for i in range(0, len(file.now), _PAGE)]
    return b"".join(bytes(len(page)) if rng.random() < 0.5 else page for page in pages)
