"""Measure building with the prepared model against torch, and against the bare session with nothing around it.

    python eval/bench_pipeline.py [--corpus FOLDER] [--every 1] [--rounds 5] [--json FILE]

The candidates take turns in one process over the same passages, so that a busy machine slows all of them alike:

- onnx: `build_index`, as `qa index` runs it, with an empty cache: reading, splitting, chunks, embedding, storing;
- torch: the same pipeline with `SentenceTransformer.encode`, batches of 32 sorted by length;
- bare, one by one: the same session on tokens made before, shortest first, a thread a core, and nothing else;
- bare, batches: a graph that takes a padding mask, quantized alike, on batches of 32 of about equal length.

`bench.py` runs this as a process of its own: torch's memory is nobody else's then.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from processes import ROOT, copy_corpus, default_cache, median

from qa.catalog import CATALOG_FILE, Catalog
from qa.chunks import embedding_text
from qa.embedders import load_embedder
from qa.embedders.export import export_folder
from qa.embedders.models import find_model
from qa.embedders.onnx import ABOUT, MODEL, TOKENIZER
from qa.index import BuildReport, build_index
from qa.protocols import Embedder
from qa.settings import Settings, load_settings
from qa.storage import IndexFolder

BATCH = 32
Tokens = list[list[int]]


class Pipeline:
    """`build_index` over the same corpus with one embedder, each time into nothing and with nothing cached."""

    def __init__(self, folder: Path, corpus: Path, backend: str) -> None:
        self.folder = folder
        self.corpus = corpus
        self.backend = backend
        self.runs = 0
        self.embedder: Embedder = load_embedder(self._settings().embedding, default_cache(), prepare=True)

    def _settings(self) -> Settings:
        place = self.folder / f"{self.backend}-{self.runs}"
        paths = {"corpus": self.corpus, "index": place / "index", "cache": place / "cache"}
        return load_settings({"paths": paths, "embedding": {"backend": self.backend}})

    def run(self) -> BuildReport:
        self.runs += 1
        self.settings = self._settings()
        self.last = build_index(self.settings, self.embedder)
        return self.last

    def texts(self) -> list[str]:
        """What the last run embedded."""
        with IndexFolder(self.settings.paths.index).open_current() as generation:
            catalog = Catalog.open(generation.file(CATALOG_FILE))
            found = catalog.chunks(catalog.chunk_ids().tolist()).values()
            catalog.close()
        return [embedding_text(article.title, article.text[chunk.start : chunk.end]) for chunk, article in found]


def tokenize(texts: list[str]) -> Tokens:
    """Token ids, cut to what the model reads, shortest first."""
    from tokenizers import Tokenizer

    folder = prepared_model()
    tokenizer = Tokenizer.from_str((folder / TOKENIZER).read_text(encoding="utf-8"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(json.loads((folder / ABOUT).read_text())["max_length"])
    return sorted((encoding.ids for encoding in tokenizer.encode_batch_fast(texts)), key=len)


def prepared_model() -> Path:
    settings = load_settings()
    source = find_model(settings.embedding.model, verify=False)
    return export_folder(settings.paths.cache, source, settings.embedding.quantization)


def session(model: Path, threads: int) -> Any:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # As `qa.embedders.onnx` has it: without this fusion the quantized graph is faster.
    return onnxruntime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], disabled_optimizers=["SkipLayerNormFusion"]
    )


def bare_singles(model: Path, tokens: Tokens) -> Callable[[], None]:
    run_one = session(model, 1)
    inputs = [np.array([ids], dtype=np.int64) for ids in tokens]
    cores = os.cpu_count() or 1

    def run() -> None:
        with ThreadPoolExecutor(cores) as pool:
            list(pool.map(lambda ids: run_one.run(None, {"input_ids": ids}), inputs, chunksize=16))

    return run


def bare_batches(model: Path, tokens: Tokens) -> Callable[[], None]:
    run_batch = session(model, os.cpu_count() or 1)
    inputs = []
    for start in range(0, len(tokens), BATCH):
        batch = tokens[start : start + BATCH]
        ids = np.zeros((len(batch), max(map(len, batch))), dtype=np.int64)
        mask = np.zeros_like(ids)
        for row, text in enumerate(batch):
            ids[row, : len(text)] = text
            mask[row, : len(text)] = 1
        inputs.append({"input_ids": ids, "attention_mask": mask})

    def run() -> None:
        for batch in inputs:
            run_batch.run(None, batch)

    return run


def export_batches(path: Path) -> None:
    """The default model as a graph over a padded batch, quantized as the prepared one is."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic

    from qa.embedders.sentence_transformer import load_sentence_transformer

    settings = load_settings().embedding
    model = load_sentence_transformer(find_model(settings.model), attention="eager")

    class Batch(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.encoder = model[0].model.eval()

        def forward(self, input_ids: Any, attention_mask: Any) -> Any:
            states = self.encoder(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            weights = attention_mask.unsqueeze(-1).to(states.dtype)
            return torch.nn.functional.normalize((states * weights).sum(1) / weights.sum(1), dim=1)

    dimensions = {0: torch.export.Dim("texts", min=1, max=512), 1: torch.export.Dim("length", min=2, max=256)}
    with torch.no_grad():
        torch.onnx.export(
            Batch().eval(),
            (torch.full((2, 12), 100), torch.ones((2, 12), dtype=torch.int64)),
            dynamo=True,
            dynamic_shapes={"input_ids": dimensions, "attention_mask": dimensions},
            input_names=["input_ids", "attention_mask"],
            output_names=["vectors"],
            opset_version=20,
            external_data=False,
            verbose=False,
        ).save(str(path))
    if settings.quantization == "int8":
        options = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
        quantize_dynamic(path, path, op_types_to_quantize=["MatMul"], **options)


@dataclass
class Timed:
    """Passages per second of each candidate in each round: by the clock and, less disturbed by others, by CPU time."""

    passages: int
    clock: dict[str, list[float]] = field(default_factory=dict)
    cpu: dict[str, list[float]] = field(default_factory=dict)

    def run(self, name: str, work: Callable[[], object]) -> None:
        started, cpu = time.perf_counter(), time.process_time()
        work()
        self.note(name, time.perf_counter() - started)
        self.cpu.setdefault(name, []).append(self.passages / (time.process_time() - cpu))

    def note(self, name: str, seconds: float) -> None:
        self.clock.setdefault(name, []).append(self.passages / seconds)

    def ratios(self, pairs: Iterable[tuple[str, str]]) -> dict[str, dict[str, float]]:
        """The median over the rounds of the ratio within a round."""
        return {
            f"{upper} / {lower}": {
                name: median([a / b for a, b in zip(rates[upper], rates[lower], strict=True)])
                for name, rates in (("clock", self.clock), ("cpu", self.cpu))
                if upper in rates
            }
            for upper, lower in pairs
        }


def compare(folder: Path, corpus: Path, rounds: int) -> dict[str, Any]:
    """Let the candidates take turns."""
    onnx, torch = (Pipeline(folder, corpus, backend) for backend in ("onnx", "sentence_transformer"))
    passages = onnx.run().counts["passages"]
    if torch.run().counts["passages"] != passages:
        raise RuntimeError("the two embedders see different passages")
    tokens = tokenize(onnx.texts())
    export_batches(folder / "batches.onnx")
    gc.collect()
    one_by_one = bare_singles(prepared_model() / MODEL, tokens)
    batches = bare_batches(folder / "batches.onnx", tokens)
    timed = Timed(passages)
    for _ in range(rounds):
        timed.run("pipeline, onnx", onnx.run)
        timed.note("embedding stage, onnx", onnx.last.stages["embedding"])
        timed.run("pipeline, torch", torch.run)
        timed.run("bare session, one by one", one_by_one)
        timed.run("bare session, batches", batches)
    pairs = [("pipeline, onnx", lower) for lower in timed.cpu if lower != "pipeline, onnx"]
    stage = "embedding stage, onnx"
    pairs += [(stage, lower) for lower in timed.cpu if lower.startswith("bare")]
    return {
        "passages": passages,
        "median_tokens": median([len(ids) for ids in tokens]),
        "rounds": rounds,
        "passages_per_second": timed.clock,
        "passages_per_cpu_second": timed.cpu,
        "ratios": timed.ratios(pairs),
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--corpus", type=Path, default=ROOT / "corpus")
    parser.add_argument("--every", type=int, default=1, help="take every n-th article")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-pipeline-") as folder:
        corpus = Path(folder) / "corpus"
        copy_corpus(given.corpus, corpus, given.every)
        result = compare(Path(folder), corpus, given.rounds)
    print(f"{result['passages']:,} passages of {result['median_tokens']:.0f} tokens (median), {given.rounds} rounds\n")
    print("| candidate | passages/s, median | slowest | fastest | per CPU second |\n|---|---|---|---|---|")
    for name, rates in result["passages_per_second"].items():
        cpu = result["passages_per_cpu_second"].get(name)
        spread = f"{median(rates):.0f} | {min(rates):.0f} | {max(rates):.0f}"
        print(f"| {name} | {spread} | {f'{median(cpu):.0f}' if cpu else ''} |")
    print("\n| ratio within a round, median | clock | CPU |\n|---|---|---|")
    for name, value in result["ratios"].items():
        cpu_ratio = f"{value['cpu']:.2f}" if "cpu" in value else ""
        print(f"| {name} | {value['clock']:.2f} | {cpu_ratio} |")
    if given.json:
        given.json.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
