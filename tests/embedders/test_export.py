"""What is exported, what is refused, and what a failure leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qa.embedders import export as export_module
from qa.embedders import load_embedder
from qa.embedders.export import export_folder, export_model
from qa.embedders.models import find_model
from qa.embedders.onnx import ABOUT
from qa.embedders.samples import SAMPLES
from qa.errors import ModelError
from qa.settings import EmbeddingSettings, Settings

from .test_models import fake_model


class Model(list[Any]):
    """As much of a sentence-transformers model as decides whether it is exported."""

    def __init__(self, kinds: list[str], pooling: str = "mean", prompts: dict[str, str] | None = None) -> None:
        super().__init__(type(kind, (), {"pooling_mode": pooling})() for kind in kinds)
        self.prompts = prompts or {"query": "", "document": ""}


PLAIN = ["Transformer", "Pooling", "Normalize"]


@pytest.mark.parametrize(
    ("model", "pooling"),
    [
        (Model(PLAIN), "mean"),
        (Model(PLAIN, "cls"), "cls"),
        (Model(PLAIN[:2]), "mean"),
    ],
)
def test_mean_and_cls_pooling_are_exported(model: Model, pooling: str) -> None:
    assert export_module._pooling(model) == pooling


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (Model(PLAIN, "max"), "pooling 'max' is not exported"),
        (Model(PLAIN, "lasttoken"), "pooling 'lasttoken' is not exported"),
        (Model(PLAIN, prompts={"query": "query: ", "document": ""}), "prompts {'query': 'query: '} are not exported"),
        (Model(["Transformer", "Pooling", "Dense", "Normalize"]), "Transformer [+] Pooling [+] Dense"),
        (Model(["StaticEmbedding"]), "a model of StaticEmbedding is not exported"),
    ],
)
def test_what_is_not_exported_names_the_other_backend(model: Model, message: str) -> None:
    with pytest.raises(ModelError, match=message + '.*set embedding.backend = "sentence_transformer"'):
        export_module._pooling(model)


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(ModelError, match=r"cannot write the prepared model to .*cache"):
        load_embedder(EmbeddingSettings(), tmp_path / "cache", prepare=True)


@pytest.mark.parametrize("there", [False, True])
def test_a_prepared_model_appears_whole_and_replaces_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    def run(source: object, quantization: str, folder: Path) -> None:
        folder.mkdir()
        (folder / "new").write_text(quantization)

    monkeypatch.setattr(export_module, "_run", run)
    folder = tmp_path / "models" / "tiny"
    if there:
        folder.mkdir(parents=True)
        (folder / "old").write_text("")
    export_model(find_model(str(fake_model(tmp_path / "tiny"))), "int8", folder)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in folder.parent.iterdir()] == ["tiny"]


def test_a_faster_process_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "models" / "tiny"
    rename = Path.rename

    def late(self: Path, target: Path) -> Path:
        folder.mkdir()
        (folder / "theirs").write_text("")
        return rename(self, target)

    monkeypatch.setattr(export_module, "_run", lambda source, quantization, made: made.mkdir())
    monkeypatch.setattr(Path, "rename", late)
    export_model(find_model(str(fake_model(tmp_path / "tiny"))), "int8", folder)
    assert [path.name for path in folder.iterdir()] == ["theirs"]


@pytest.mark.model
def test_a_model_that_cannot_be_loaded_is_named_and_leaves_nothing(tmp_path: Path) -> None:
    model = fake_model(tmp_path / "tiny")
    with pytest.raises(ModelError, match="cannot prepare embedding model tiny: .*tiny"):
        load_embedder(EmbeddingSettings(model=str(model)), tmp_path / "cache", prepare=True)
    assert list((tmp_path / "cache" / "models").iterdir()) == []


@pytest.mark.model
def test_a_prepared_model_too_far_from_the_original_is_refused() -> None:
    settings, cache = EmbeddingSettings(), Settings().paths.cache
    embedder = load_embedder(settings, cache, prepare=True)
    folder = export_folder(cache, find_model(settings.model), settings.quantization)
    about = json.loads((folder / ABOUT).read_text())
    vectors = embedder.embed_documents(SAMPLES)
    bent = vectors.copy()
    bent[3] = np.roll(bent[3], 1)

    def original(made: Any) -> Any:
        return type("Original", (), {"encode": lambda *_, **__: made})()

    assert export_module._lowest_cosine(original(vectors), about, folder) == pytest.approx(1, abs=1e-5)
    with pytest.raises(ModelError, match=r"differ from the original's \(cosine .*, at least 0.95 expected\)"):
        export_module._lowest_cosine(original(bent), about, folder)
