"""Speed of the prepared model beside torch and beside bare onnxruntime, on the same texts and the same cores.

    python eval/bench_embedding.py [FOLDER] [--texts 96] [--rounds 5]

FOLDER holds articles as .txt or .md (default: the starter corpus); they are cut into texts of about 100 word pieces.
Rounds are interleaved; figures are medians of wall time, and of processor time, which other work disturbs less.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from qa.embedders import load_embedder
from qa.embedders.export import export_folder
from qa.embedders.models import find_model
from qa.embedders.onnx import MODEL, OnnxEmbedder
from qa.embedders.sentence_transformer import SentenceTransformerEmbedder
from qa.protocols import FloatArray
from qa.settings import EmbeddingSettings, Settings

CORPUS = Path(__file__).parents[1] / "corpus"
PIECES, BATCH = 100, 32


def read_texts(folder: Path, count: int, embedder: OnnxEmbedder) -> list[str]:
    """Return up to `count` texts of about 100 word pieces, from sentences that follow one another."""
    texts, words = [], 0
    for path in sorted(p for p in folder.rglob("*") if p.suffix in {".txt", ".md"}):
        part: list[str] = []
        for sentence in re.split(r"(?<=[.!?])\s+", path.read_text(encoding="utf-8", errors="replace")):
            part.append(sentence)
            words = embedder.count_tokens([" ".join(part)])[0]
            if words >= PIECES:
                texts.append(" ".join(part))
                part = []
    chosen = np.random.default_rng(0).permutation(len(texts))[:count]
    return [texts[i] for i in chosen]


def padded_session(source: Any, cores: int, tokens: list[list[int]], folder: Path) -> Callable[[], FloatArray]:
    """The usual way: int8 model over length-sorted, padded batches, tokens ready, all cores inside one call."""
    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from qa.embedders.sentence_transformer import load_sentence_transformer

    class Batch(torch.nn.Module):
        def __init__(self, encoder: Any) -> None:
            super().__init__()
            self.encoder = encoder

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask[:, :, None].to(states.dtype)
            return torch.nn.functional.normalize((states * mask).sum(1) / mask.sum(1), dim=1)

    encoder = load_sentence_transformer(source, attention="eager")[0].model.eval()
    shape = {0: torch.export.Dim("batch", min=1, max=4096), 1: torch.export.Dim("length", min=2, max=256)}
    example = torch.full((3, 12), 100)
    path = folder / "padded.onnx"
    with torch.no_grad():
        torch.onnx.export(
            Batch(encoder),
            (example, torch.ones_like(example)),
            dynamo=True,
            dynamic_shapes={"input_ids": shape, "attention_mask": shape},
            input_names=["input_ids", "attention_mask"],
            opset_version=20,
            external_data=False,
            verbose=False,
        ).save(str(path))
    quantize_dynamic(
        path, path, op_types_to_quantize=["MatMul"], per_channel=True, reduce_range=True, weight_type=QuantType.QInt8
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(
        str(path), options, ["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )
    order = sorted(range(len(tokens)), key=lambda i: len(tokens[i]))
    batches = []
    for start in range(0, len(order), BATCH):
        rows = order[start : start + BATCH]
        ids = np.zeros((len(rows), max(len(tokens[i]) for i in rows)), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, i in enumerate(rows):
            ids[row, : len(tokens[i])], mask[row, : len(tokens[i])] = tokens[i], 1
        batches.append((rows, {"input_ids": ids, "attention_mask": mask}))

    def run() -> FloatArray:
        vectors = np.empty((len(tokens), 384), dtype=np.float32)
        for rows, feed in batches:
            vectors[rows] = session.run(None, feed)[0]
        return vectors

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?", default=CORPUS)
    parser.add_argument("--texts", type=int, default=96)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # torch's exporter
    cores = len(os.sched_getaffinity(0))
    settings, cache = EmbeddingSettings(threads=cores), Settings().paths.cache
    load_embedder(settings, cache, prepare=True)
    source = find_model(settings.model)
    folder = export_folder(cache, source, settings.quantization)
    started = time.perf_counter()
    ours = OnnxEmbedder.load(folder, cores)
    loaded = time.perf_counter() - started
    texts = read_texts(arguments.folder, arguments.texts, ours)
    tokens = ours._tokens(texts)
    torch_embedder = SentenceTransformerEmbedder(source)
    with tempfile.TemporaryDirectory() as temporary:
        ways: dict[str, Callable[[], FloatArray]] = {
            "prepared model": lambda: ours.embed_documents(texts),
            "padded batches": padded_session(source, cores, tokens, Path(temporary)),
            "torch": lambda: torch_embedder.embed_documents(texts),
        }
        wall, processor, vectors = measure(ways, arguments.rounds)
    size = (folder / MODEL).stat().st_size / 1e6
    print(f"{len(texts)} texts, {statistics.mean(map(len, tokens)):.0f} word pieces, {cores} cores")
    print(f"loading {1000 * loaded:.0f} ms, model {size:.0f} MB")
    for name in ways:
        cosines = np.einsum("ij,ij->i", vectors[name], vectors["torch"])
        faster = statistics.median(a / b for a, b in zip(wall[name], wall["prepared model"], strict=True))
        spent = 1000 * statistics.median(processor[name]) / len(texts)
        print(
            f"{name:15s} {len(texts) / statistics.median(wall[name]):6.1f} texts/s, "
            f"best {len(texts) / min(wall[name]):6.1f}, processor {spent:5.1f} ms/text; "
            f"prepared model is {faster:.2f} x as fast; "
            f"cosine to torch: lowest {cosines.min():.4f}, mean {cosines.mean():.4f}"
        )
    for name, embedder in {"prepared model": ours, "torch": torch_embedder}.items():
        times = []
        for number in range(60):
            start = time.perf_counter()
            embedder.embed_query(f"Who replaced the finance minister in March, {number} days after the vote?")
            times.append(1000 * (time.perf_counter() - start))
        print(f"{name:15s} one question: median {statistics.median(times):.2f} ms, fastest {min(times):.2f} ms")


def measure(
    ways: dict[str, Callable[[], FloatArray]], rounds: int
) -> tuple[dict[str, list[float]], dict[str, list[float]], dict[str, FloatArray]]:
    """Run all ways in turn; return wall and processor seconds by round (the first is left out) and vectors."""
    wall: dict[str, list[float]] = {name: [] for name in ways}
    processor: dict[str, list[float]] = {name: [] for name in ways}
    vectors: dict[str, FloatArray] = {}
    for number in range(rounds + 1):
        for name, run in ways.items():
            start, before = time.perf_counter(), time.process_time()
            made = run()
            if number:
                wall[name].append(time.perf_counter() - start)
                processor[name].append(time.process_time() - before)
            if name == "prepared model" and name in vectors:
                assert np.array_equal(made, vectors[name]), "another run gave other vectors"
            vectors[name] = made
    return wall, processor, vectors


if __name__ == "__main__":
    main()
