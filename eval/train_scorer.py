"""Train the sentence scorer from the packaged MiniLM weights, on two cores.

python eval/train_scorer.py --data FOLDER --out build/scorer
"""

from __future__ import annotations

import argparse
import json
import math
import random
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scorer_data import Example, Examples
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy
from transformers import AutoModel

from qa.embedders.models import DEFAULT_MODEL, find_model
from qa.scorers.encoding import Encoder

START, END, ANSWERS = range(3)
BATCH_PIECES = 3000
POOL = 1280
IGNORED = -100


class Scorer(nn.Module):
    """Word pieces (n, length) to start, end and answers logits (n, length, 3)."""

    def __init__(self, folder: Path, layers: int, attention: str = "sdpa") -> None:
        super().__init__()
        self.encoder = AutoModel.from_pretrained(folder, add_pooling_layer=False, attn_implementation=attention)
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
    """Token ids with, for each piece, the label of its sentence's mark, and the span's first and last piece."""
    encoded = encoder.encode(example.question, example.title, example.sentences)
    marks = np.full(len(encoded.ids), np.nan, dtype=np.float32)
    for mark, label in zip(encoded.marks, example.labels, strict=False):
        marks[mark] = label
    allowed = np.zeros(len(encoded.ids), dtype=bool)
    allowed[0] = True
    for start, mark in zip(encoded.starts, encoded.marks, strict=True):
        allowed[start:mark] = True
    first = last = 0 if example.spanned else IGNORED
    if example.span:
        sentence, start, end = example.span
        first = last = IGNORED
        if sentence < len(encoded.starts):
            inside = [
                place
                for place, (a, b) in enumerate(encoded.offsets[sentence], encoded.starts[sentence])
                if a < end and start < b
            ]
            if inside:
                first, last = inside[0], inside[-1]
    return {"ids": encoded.ids, "types": encoded.types, "marks": marks, "allowed": allowed, "span": (first, last)}


def batches(items: list[dict[str, Any]], rng: random.Random) -> Iterator[dict[str, torch.Tensor]]:
    """Batches of about `BATCH_PIECES` pieces; sorted by length within pools, so that little is padding."""
    items = items[:]
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
    width = max(len(item["ids"]) for item in batch)

    def padded(key: str, fill: float, kind: Any) -> torch.Tensor:
        rows = np.full((len(batch), width), fill, dtype=kind)
        for row, item in zip(rows, batch, strict=True):
            row[: len(item[key])] = item[key]
        return torch.from_numpy(rows)

    ids = padded("ids", 0, np.int64)
    return {
        "ids": ids,
        "types": padded("types", 0, np.int64),
        "mask": (padded("ids", -1, np.int64) >= 0).long(),
        "marks": padded("marks", np.nan, np.float32),
        "allowed": padded("allowed", False, np.bool_),
        "span": torch.tensor([item["span"] for item in batch]),
    }


def loss_of(logits: torch.Tensor, batch: dict[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    """Binary cross-entropy over the sentences' marks; cross-entropy of the span's ends, with [CLS] for no answer."""
    known = ~batch["marks"].isnan()
    answers = binary_cross_entropy_with_logits(logits[..., ANSWERS][known], batch["marks"][known])
    ends = []
    for channel in (START, END):
        target = batch["span"][:, channel]
        if (target != IGNORED).any():
            scores = logits[..., channel].masked_fill(~batch["allowed"], -1e4)
            ends.append(cross_entropy(scores, target, ignore_index=IGNORED))
    return answers, torch.stack(ends).mean() if ends else logits.new_zeros(())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--layers", type=int, default=6)
    parser.add_argument("--rate", type=float, default=8e-5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--clozes", type=int, default=0, help="made questions in each epoch")
    parser.add_argument("--start", type=Path, help="weights to begin with, instead of the packaged ones")
    parser.add_argument("--steps", type=int, help="stop after this many, to try the script")
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_num_threads(2)
    source = find_model(DEFAULT_MODEL)
    encoder = Encoder((source.folder / "tokenizer.json").read_text(encoding="utf-8"))
    examples = Examples(options.data)
    model = load_checkpoint(options.start) if options.start else Scorer(source.folder, options.layers)
    # The word pieces' own vectors stay as they are: too few of them occur here to be moved.
    model.encoder.embeddings.word_embeddings.requires_grad_(False)
    train(model, encoder, examples, options)


def train(model: Scorer, encoder: Encoder, examples: Examples, options: argparse.Namespace) -> None:
    options.out.mkdir(parents=True, exist_ok=True)
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=options.rate, weight_decay=0.01)
    per_epoch = sum(
        1 for _ in batches([encode(encoder, e) for e in examples.epoch(0, options.clozes)], random.Random(0))
    )
    total = per_epoch * options.epochs
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, step / (0.06 * total)) * max(0.0, 1 - step / total)
    )
    print(f"{per_epoch} batches an epoch", flush=True)
    step, started, seen = 0, time.time(), []
    for epoch in range(options.epochs):
        model.train()
        drawn = [encode(encoder, example) for example in examples.epoch(options.seed * 1000 + epoch, options.clozes)]
        for batch in batches(drawn, random.Random(epoch)):
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
            seen.append((answers.item(), spans.item()))
            step += 1
            if step % 50 == 0:
                a, s = np.mean(seen[-50:], axis=0)
                passed = time.time() - started
                print(f"epoch {epoch} step {step}/{total} answers {a:.3f} spans {s:.3f} {passed:.0f} s", flush=True)
            if step == options.steps:
                break
        torch.save(model.state_dict(), options.out / "last.pt")
        torch.save(model.state_dict(), options.out / f"epoch{epoch}.pt")
        if step == options.steps:
            break
    (options.out / "recipe.json").write_text(json.dumps({k: str(v) for k, v in vars(options).items()}, indent=1))


if __name__ == "__main__":
    main()
