"""Train the sentence scorer from the packaged MiniLM weights, on two cores.

    python eval/train_scorer.py --data FOLDER --out build/scorer/first

The folder gets ``last.pt``, the weights, whenever an epoch ends, and ``recipe.json`` at the end. The seed decides the
examples, their order, new weights and dropout: the same machine, packages and number of threads give the same weights.
Another processor or version of torch rounds otherwise, and gives others.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from scorer_data import Example, Examples
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy

from qa.embedders.models import DEFAULT_MODEL, find_model
from qa.errors import QAError
from qa.scorers.encoding import Encoded, Encoder
from qa.scorers.onnx import ANSWERS, END, START

THREADS = 2
BATCH_PIECES = 3000
POOL = 1280
"""Examples that are sorted by length together."""
LOGGED = 50
"""Batches over which the loss is averaged for people to read."""
IGNORED = -100


class Scorer(nn.Module):
    """Word pieces (n, length) to start, end and answers logits (n, length, 3)."""

    def __init__(self, folder: Path, layers: int, attention: str = "sdpa") -> None:
        super().__init__()
        self.encoder = transformers.AutoModel.from_pretrained(
            folder, add_pooling_layer=False, attn_implementation=attention
        )
        self.encoder.encoder.layer = self.encoder.encoder.layer[:layers]
        self.encoder.config.num_hidden_layers = layers
        self.head = nn.Linear(self.encoder.config.hidden_size, 3)

    def forward(self, ids: torch.Tensor, types: torch.Tensor, mask: torch.Tensor | None = None) -> torch.Tensor:
        states = self.encoder(input_ids=ids, token_type_ids=types, attention_mask=mask).last_hidden_state
        logits: torch.Tensor = self.head(states)
        return logits


def load_checkpoint(path: Path, attention: str = "sdpa") -> Scorer:
    """A scorer as it was trained; its number of layers is read off the weights."""
    weights = torch.load(path)
    layers = 1 + max(int(name.split(".")[3]) for name in weights if name.startswith("encoder.encoder.layer."))
    model = Scorer(find_model(DEFAULT_MODEL).folder, layers, attention)
    model.load_state_dict(weights)
    return model.eval()


def encode(encoder: Encoder, example: Example) -> dict[str, Any]:
    """Pieces and their types; the label of each sentence at its mark, NaN elsewhere; where a span may be, and is."""
    encoded = encoder.encode(example.question, example.title, example.sentences)
    labels = np.full(len(encoded.ids), np.nan, dtype=np.float32)
    allowed = np.zeros(len(encoded.ids), dtype=bool)
    allowed[0] = True
    # Sentences that did not fit have no marks.
    for start, mark, label in zip(encoded.starts, encoded.marks, example.labels, strict=False):
        labels[mark] = label
        allowed[start:mark] = True
    span = ends_of(encoded, example)
    return {"ids": encoded.ids, "types": encoded.types, "labels": labels, "allowed": allowed, "span": span}


def ends_of(encoded: Encoded, example: Example) -> tuple[int, int]:
    """First and last piece of the example's span; [CLS] for "no answer here", `IGNORED` for what is unknown."""
    if not example.spanned:
        return IGNORED, IGNORED
    if not example.span:
        return 0, 0
    sentence, start, end = example.span
    if sentence >= len(encoded.starts):
        return IGNORED, IGNORED
    pieces = enumerate(encoded.offsets[sentence], encoded.starts[sentence])
    inside = [place for place, (first, last) in pieces if first < end and start < last]
    return (inside[0], inside[-1]) if inside else (IGNORED, IGNORED)


def batches(items: Sequence[dict[str, Any]], rng: random.Random) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of about `BATCH_PIECES` pieces; sorted by length within pools, so that little is padding."""
    items = list(items)
    rng.shuffle(items)
    pools = [sorted(items[i : i + POOL], key=lambda item: len(item["ids"])) for i in range(0, len(items), POOL)]
    made: list[list[dict[str, Any]]] = []
    for pool in pools:
        batch: list[dict[str, Any]] = []
        for item in pool:
            if batch and (len(batch) + 1) * len(item["ids"]) > BATCH_PIECES:
                made.append(batch)
                batch = []
            batch.append(item)
        made.append(batch)
    rng.shuffle(made)
    for batch in made:
        yield collate(batch)


def collate(batch: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """Encoded examples as tensors (n, length), padded; `span` is (n, 2)."""
    width = max(len(item["ids"]) for item in batch)

    def padded(key: str, fill: float, kind: Any) -> torch.Tensor:
        rows = np.full((len(batch), width), fill, dtype=kind)
        for row, item in zip(rows, batch, strict=True):
            row[: len(item[key])] = item[key]
        return torch.from_numpy(rows)

    return {
        "ids": padded("ids", 0, np.int64),
        "types": padded("types", 0, np.int64),
        "mask": (padded("ids", -1, np.int64) >= 0).long(),
        "labels": padded("labels", np.nan, np.float32),
        "allowed": padded("allowed", False, np.bool_),
        "span": torch.tensor([item["span"] for item in batch]),
    }


def loss_of(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary cross-entropy over the sentences' marks; cross-entropy of the span's ends, with [CLS] for no answer."""
    known = ~batch["labels"].isnan()
    answers = binary_cross_entropy_with_logits(logits[..., ANSWERS][known], batch["labels"][known])
    ends = []
    for channel in (START, END):
        target = batch["span"][:, channel]
        if (target != IGNORED).any():
            scores = logits[..., channel].masked_fill(~batch["allowed"], -1e4)
            ends.append(cross_entropy(scores, target, ignore_index=IGNORED))
    return answers, torch.stack(ends).mean() if ends else logits.new_zeros(())


def train(
    model: Scorer,
    encoder: Encoder,
    draw: Callable[[int], Sequence[Example]],
    *,
    epochs: int,
    rate: float,
    seed: int,
    steps: int | None = None,
) -> Iterator[dict[str, float]]:
    """Train for some epochs, or `steps` at most; after each epoch, say of how many examples and with what loss.

    `draw` gives the examples of an epoch from its seed. The loss is that of the last `LOGGED` batches.
    """
    # The word pieces' own vectors stay as they are: too few of them occur here to be moved.
    model.encoder.embeddings.word_embeddings.requires_grad_(False)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=rate, weight_decay=0.01)
    total = epochs * sum(1 for _ in batches([encode(encoder, e) for e in draw(0)], random.Random(0)))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / (0.06 * total)) * max(0.0, 1 - step / total)
    )
    step, started = 0, time.monotonic()
    losses: list[tuple[float, float]] = []
    model.train()
    for epoch in range(epochs):
        items = [encode(encoder, example) for example in draw(seed * 1000 + epoch)]
        for batch in batches(items, random.Random(epoch)):
            with torch.autocast("cpu", dtype=torch.bfloat16):
                logits = model(batch["ids"], batch["types"], batch["mask"]).float()
            answers, spans = loss_of(logits, batch)
            loss = 2 * answers + 0.5 * spans
            if not math.isfinite(loss.item()):
                raise SystemExit(f"the loss is {loss.item()} at step {step}")
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            schedule.step()
            losses.append((answers.item(), spans.item()))
            step += 1
            if step % LOGGED == 0:
                a, s = np.mean(losses[-LOGGED:], axis=0)
                passed = time.monotonic() - started
                print(f"epoch {epoch} step {step}/{total} answers {a:.3f} spans {s:.3f} {passed:.0f} s", flush=True)
            if step == steps:
                break
        a, s = np.mean(losses[-LOGGED:], axis=0)
        yield {"examples": len(items), "steps": step, "answers": round(float(a), 4), "spans": round(float(s), 4)}
        if step == steps:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=os.environ.get("SOURCELINE_DATA"), help="the data sets' folder")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--layers", type=int, default=6, help="how many of the packaged model's, from below")
    parser.add_argument("--rate", type=float, default=8e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clozes", type=int, default=0, help="made questions in each epoch")
    parser.add_argument("--start", type=Path, help="weights to begin with, instead of the packaged ones")
    parser.add_argument("--steps", type=int, help="stop after this many, to try the script")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(THREADS)
    torch.use_deterministic_algorithms(True)
    try:
        examples = Examples(options.data)
        source = find_model(DEFAULT_MODEL)
    except QAError as error:
        raise SystemExit(f"{parser.prog}: {error}") from None
    encoder = Encoder((source.folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = load_checkpoint(options.start) if options.start else Scorer(source.folder, options.layers)
    options.out.mkdir(parents=True, exist_ok=True)
    done = []
    for epoch in train(
        model,
        encoder,
        lambda seed: examples.epoch(seed, options.clozes),
        epochs=options.epochs,
        rate=options.rate,
        seed=options.seed,
        steps=options.steps,
    ):
        done.append(epoch)
        torch.save(model.state_dict(), options.out / "last.pt")
    recipe = {
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "epochs": done,
        "versions": {"torch": torch.__version__, "transformers": transformers.__version__},
        "threads": THREADS,
    }
    (options.out / "recipe.json").write_text(json.dumps(recipe, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
