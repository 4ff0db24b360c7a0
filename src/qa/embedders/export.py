"""Making a model ready for onnxruntime: export, quantization and the check against the original.

Runs in a process of its own (``python -m qa.embedders.export``), so that torch's memory goes when it is done, and
nothing else in the program imports torch.
"""

from __future__ import annotations

import argparse
import errno
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from qa.embedders.models import ModelSource, file_sha256, find_model
from qa.embedders.onnx import ABOUT, FORMAT, MODEL, TOKENIZER, OnnxEmbedder
from qa.embedders.samples import SAMPLES
from qa.errors import ModelError

__all__ = ["EXPORTER", "export_folder", "export_model", "quantize"]

EXPORTER = "2"
"""Recorded in the fingerprint: change it with anything that changes vectors."""

LOWEST_COSINE = 0.95
"""A prepared model that comes further than this from the original, on any sample sentence, is refused."""

_TABLE_VALUES = 1_000_000

_OTHER_BACKEND = 'set embedding.backend = "sentence_transformer"'


def export_folder(cache: Path, source: ModelSource, quantization: str) -> Path:
    """Return where the prepared form of exactly this model is kept."""
    return cache / "models" / f"{source.key}-{quantization}-{EXPORTER}"


def export_model(source: ModelSource, quantization: str, folder: Path) -> None:
    """Prepare a model in a process of its own and put it at `folder` in one step. Raises `ModelError`."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=folder.parent) as temporary:
            made = Path(temporary) / "model"
            _run(source, quantization, made)
            if folder.exists():
                folder.rename(Path(temporary) / "old")
            made.rename(folder)
    except OSError as error:
        # ENOTEMPTY, EEXIST: another process was faster and has made the same.
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise ModelError(f"cannot write the prepared model to {folder}: {error.strerror}") from None


def _run(source: ModelSource, quantization: str, folder: Path) -> None:
    command = [sys.executable, "-m", "qa.embedders.export", str(_argument(source)), quantization, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise ModelError(f"cannot prepare embedding model {source.name}: {reason}")


def _argument(source: ModelSource) -> str | Path:
    return source.folder if not source.revision else source.name


def _export(source: ModelSource, quantization: str, folder: Path) -> None:
    """Write the prepared model with its description into a new folder."""
    from qa.embedders.sentence_transformer import load_sentence_transformer

    # "Eager" attention exports to plain matrix products; the fused kind drags a mask along that one text never needs.
    model = load_sentence_transformer(source, attention="eager")
    pooling = _pooling(model)
    folder.mkdir(parents=True)
    _write_graph(model, pooling, folder / MODEL)
    if quantization == "int8":
        quantize(folder / MODEL)
    shutil.copyfile(source.folder / "tokenizer.json", folder / TOKENIZER)
    about = _describe(model, source, pooling, f"onnx-{quantization}", folder)
    about["lowest_cosine"] = _lowest_cosine(model, about, folder)
    for name in (MODEL, TOKENIZER):
        _sync(folder / name)
    (folder / ABOUT).write_text(json.dumps(about, indent=1), encoding="utf-8")
    _sync(folder / ABOUT)


def _pooling(model: Any) -> str:
    """Return the pooling mode; raise `ModelError` for a model that is not exported."""
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ModelError(f"a model of {' + '.join(kinds)} is not exported: {_OTHER_BACKEND}")
    pooling = str(model[1].pooling_mode)
    if pooling not in ("mean", "cls"):
        raise ModelError(f"pooling {pooling!r} is not exported: {_OTHER_BACKEND}")
    prompts = {key: value for key, value in model.prompts.items() if value}
    if prompts:
        raise ModelError(f"prompts {prompts} are not exported: {_OTHER_BACKEND}")
    return pooling


def _write_graph(model: Any, pooling: str, path: Path) -> None:
    """Export token ids of one text, (1, length) int64, to its vector, (1, dimension) float32."""
    import torch

    class OneText(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = model[0].model.eval()

        def forward(self, input_ids: Any) -> Any:
            states = self.encoder(input_ids=input_ids).last_hidden_state
            # One text has no padding: the mean needs no mask. Vectors are always of length 1, as stores expect.
            pooled = states.mean(dim=1) if pooling == "mean" else states[:, 0]
            return torch.nn.functional.normalize(pooled, dim=1)

    with torch.no_grad():
        torch.onnx.export(
            OneText().eval(),
            (torch.full((1, 12), 100),),
            dynamo=True,
            dynamic_shapes={"input_ids": {1: torch.export.Dim("length", min=2, max=model.max_seq_length)}},
            input_names=["input_ids"],
            output_names=["vector"],
            opset_version=20,
            external_data=False,
            verbose=False,
        ).save(str(path))


def quantize(path: Path) -> None:
    """Turn weights to int8 in place; activations follow at run time.

    A scale per channel keeps what retrieval needs (docs/decisions/embedding.md); 7 bits of 8 cannot overflow the 16-bit
    sums of processors without VNNI, which would give other vectors there.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        path,
        path,
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        reduce_range=True,
        weight_type=QuantType.QInt8,
    )
    model = onnx.load(path)
    _quantize_tables(model.graph)
    onnx.save(model, path)


def _quantize_tables(graph: Any) -> None:
    """Turn token tables, most of the file, to int8 with a scale per row: the model loads in half the time."""
    from onnx import TensorProto, helper, numpy_helper

    tables = {tensor.name: tensor for tensor in graph.initializer if np.prod(tensor.dims) >= _TABLE_VALUES}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        if node.op_type != "Gather" or node.input[0] not in tables:
            continue
        name, ids, output = node.input[0], node.input[1], node.output[0]
        values = numpy_helper.to_array(tables[name])
        scales = np.maximum(np.abs(values).max(axis=1, keepdims=True), 1e-30).astype(np.float32) / 127
        tables[name].CopyFrom(numpy_helper.from_array(np.round(values / scales).astype(np.int8), name))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scale"))
        node.output[0] = f"{output}_int8"
        nodes += [
            helper.make_node("Cast", [f"{output}_int8"], [f"{output}_float"], to=TensorProto.FLOAT),
            helper.make_node("Gather", [f"{name}_scale", ids], [f"{output}_scale"]),
            helper.make_node("Mul", [f"{output}_float", f"{output}_scale"], [output]),
        ]
        del tables[name]  # one use is what such models make of it; a second would need the floats
    del graph.node[:]
    graph.node.extend(nodes)


def _describe(model: Any, source: ModelSource, pooling: str, backend: str, folder: Path) -> dict[str, Any]:
    marks = len(model.tokenizer("", add_special_tokens=True)["input_ids"])
    dimension, max_length = int(model.get_embedding_dimension()), int(model.max_seq_length)
    return {
        "format": FORMAT,
        "name": source.name,
        "dimension": dimension,
        "max_length": max_length,
        "max_tokens": max_length - marks,
        "files": {name: file_sha256(folder / name) for name in (MODEL, TOKENIZER)},
        "fingerprint": {
            "model": source.name,
            "revision": source.revision,
            "weights_sha256": source.weights_sha256,
            "tokenizer_sha256": source.tokenizer_sha256,
            "config_sha256": source.config_sha256,
            "dimension": str(dimension),
            "pooling": pooling,
            "normalised": "true",
            "max_tokens": str(max_length - marks),
            "query_prompt": "",
            "document_prompt": "",
            "backend": f"{backend}-{EXPORTER}",
        },
    }


def _lowest_cosine(model: Any, about: dict[str, Any], folder: Path) -> float:
    """Compare, from text to vector, with the original; raise `ModelError` below the threshold."""
    made = OnnxEmbedder(about, (folder / MODEL).read_bytes(), (folder / TOKENIZER).read_bytes())
    original = np.asarray(model.encode(list(SAMPLES), normalize_embeddings=True, show_progress_bar=False))
    cosines = np.einsum("ij,ij->i", original.astype(np.float64), made.embed_documents(SAMPLES))
    lowest = float(cosines.min())
    if not lowest >= LOWEST_COSINE:
        raise ModelError(
            f"the prepared model's vectors differ from the original's (cosine {lowest:.3f}, at least {LOWEST_COSINE} "
            f"expected): {_OTHER_BACKEND}"
        )
    return round(lowest, 5)


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("quantization", choices=["int8", "none"])
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    try:
        _export(find_model(arguments.model), arguments.quantization, arguments.folder)
    except ModelError as error:
        sys.stderr.write(f"\n{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main())
