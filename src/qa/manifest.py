"""What the index folder says of itself: CURRENT and the manifest of each generation, and how damage to them shows."""

from __future__ import annotations

import errno
import hashlib
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qa.errors import IndexDamaged, IndexMismatch
from qa.files import storage_errors

__all__ = [
    "FORMAT",
    "PLAIN_NAME",
    "Listed",
    "Manifest",
    "Pointer",
    "altered",
    "damage_errors",
    "expected_keys",
    "parse_manifest",
    "seal",
    "sha256_hex",
    "unseal",
]

FORMAT = 1
"""Layout of the generations that this program writes; it also reads the one before (so far there is none)."""
PLAIN_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
"""A file of a generation: no folders, no tricks."""

# What an open or a read reports when the bytes are not there to be had; anything else (too many open files, no
# permission) says nothing about the index and must not make it look damaged.
_DAMAGE = {
    errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.EINVAL, errno.EIO, errno.EBADMSG, errno.ESTALE,
    getattr(errno, "EUCLEAN", errno.EIO),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Pointer:
    """The content of CURRENT. `highest` is the highest generation that was ever current (a rollback leaves it)."""

    generation: int
    highest: int
    manifest_sha256: str


@dataclass(frozen=True, slots=True)
class Listed:
    """What a manifest says of one file."""

    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """The content of a manifest; `sha256` is that of its bytes."""

    generation: int
    parent: int | None
    created_at: str
    program: str
    about: dict[str, Any]
    files: dict[str, Listed]
    sha256: str


def sha256_hex(data: bytes) -> str:
    """SHA-256 of some bytes in hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def _canonical(body: dict[str, Any]) -> bytes:
    return (json.dumps(body, sort_keys=True, allow_nan=False) + "\n").encode("ascii")


def seal(body: dict[str, Any]) -> bytes:
    """JSON that carries its own hash, so that a flipped bit shows in a file that nothing else vouches for."""
    return _canonical({**body, "sha256": sha256_hex(_canonical(body))})


def unseal(data: bytes, path: Path) -> dict[str, Any]:
    """Undo `seal`. Raises `IndexDamaged`. This envelope is the same in every format, past and future."""
    try:
        body: dict[str, Any] = json.loads(data)
        body.pop("sha256", None)
        # Compared as bytes: what parses to the same values but was written differently is not ours either.
        intact = seal(body) == data
    except (ValueError, TypeError, AttributeError, RecursionError):
        intact = False
    if not intact:
        raise altered(path)
    return body


def parse_manifest(data: bytes, path: Path) -> Manifest:
    """Read a manifest. Raises `IndexDamaged`; `IndexMismatch` for a format that this program cannot read."""
    body = unseal(data, path)
    with expected_keys(path):
        if body["format"] != FORMAT:
            raise IndexMismatch(
                f"{path}: written by {body['program']} in format {body['format']}; this program reads format {FORMAT}: "
                f"use that version, or build a new index with `qa index --full` in another folder"
            )
        names = {name: Listed(int(entry["size"]), str(entry["sha256"])) for name, entry in body["files"].items()}
        strange = [name for name in names if not PLAIN_NAME.fullmatch(name)]
        if strange:
            raise IndexDamaged(f"{path}: names the impossible file {strange[0]!r}")
        return Manifest(
            body["generation"],
            body["parent"],
            body["created_at"],
            body["program"],
            body["about"],
            names,
            sha256_hex(data),
        )


@contextmanager
def expected_keys(path: Path) -> Iterator[None]:
    """Turn what a missing or odd key raises into `IndexDamaged`."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise IndexDamaged(f"{path}: not in the form that this program writes ({error!r})") from error


@contextmanager
def damage_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` into `IndexDamaged` if it speaks of the file itself, else into `StorageError`."""
    with storage_errors(path):
        try:
            yield
        except FileNotFoundError as error:
            raise IndexDamaged(f"{path}: is missing") from error
        except OSError as error:
            if error.errno in _DAMAGE:
                raise IndexDamaged(f"{path}: cannot be read ({error.strerror})") from error
            raise


def altered(path: Path) -> IndexDamaged:
    """The error for a file whose bytes are not the ones that were written."""
    return IndexDamaged(f"{path}: not the bytes that were written")
