"""Training and export of the scorer: a short run, what it leaves behind, and that it learns."""

from __future__ import annotations

import json
import math
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from export_scorer import export
from scorer_data import Example, Examples
from train_scorer import IGNORED, Scorer, batches, collate, encode, load_checkpoint, loss_of, train

from qa.scorers.encoding import MAX_PIECES, Encoder
from qa.scorers.onnx import OnnxScorer, read_scores
from scorers.samples import PACKAGED, passage
from scorers.training import write_training_data

SCRIPT = Path(__file__).parents[2] / "eval" / "train_scorer.py"
ENCODER = Encoder((PACKAGED / "tokenizer.json").read_text(encoding="utf-8"))
TABLE = "encoder.embeddings.word_embeddings.weight"
SENTENCES = ("The dam was shut on Monday.", "Engineers replaced 3 turbines in the spring.", "It had leaked.")
RIGHT = Example("How many turbines were replaced?", "Oster Dam", SENTENCES, (0.0, 1.0, 0.0), (1, 19, 20), True)
WRONG = Example("How many goats came back?", "Oster Dam", SENTENCES, (0.0, 0.0, 0.0), None, True)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_training_data(tmp_path_factory.mktemp("training"))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """So little work is done sooner by one."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(*arguments: object) -> dict[str, Any]:
    """Run the script; return its recipe."""
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    recipe: dict[str, Any] = json.loads((Path(arguments[arguments.index("--out") + 1]) / "recipe.json").read_text())
    return recipe


@pytest.fixture(scope="module")
def trained(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder and the recipe of a run of three steps, one an epoch."""
    out = tmp_path_factory.mktemp("trained")
    return out, run("--data", data, "--out", out, "--layers", 2, "--epochs", 9, "--steps", 3, "--seed", 5)


@pytest.fixture(scope="module")
def scorer(trained: tuple[Path, dict[str, Any]]) -> Scorer:
    return load_checkpoint(trained[0] / "last.pt", attention="eager")


def test_a_run_leaves_weights_and_a_recipe(trained: tuple[Path, dict[str, Any]], data: Path) -> None:
    folder, recipe = trained
    assert {path.name for path in folder.iterdir()} == {"last.pt", "recipe.json"}
    assert recipe["options"] == {
        "data": str(data),
        "out": str(folder),
        "epochs": 9,
        "layers": 2,
        "rate": 8e-5,
        "seed": 5,
        "clozes": 0,
        "start": None,
        "steps": 3,
    }
    examples = Examples(data)
    assert [epoch["examples"] for epoch in recipe["epochs"]] == [len(examples.epoch(s)) for s in (5000, 5001, 5002)]
    assert [epoch["steps"] for epoch in recipe["epochs"]] == [1, 2, 3]
    assert all(0 < epoch[name] < 9 for epoch in recipe["epochs"] for name in ("answers", "spans"))
    assert recipe["versions"]["torch"] == torch.__version__


def test_layers_move_and_word_vectors_stay(scorer: Scorer) -> None:
    found, packaged = scorer.state_dict(), Scorer(PACKAGED, 2).state_dict()
    assert found.keys() == packaged.keys()
    assert torch.equal(found[TABLE], packaged[TABLE])
    moved = {name for name in found if not torch.equal(found[name], packaged[name])}
    assert {name.split(".")[3] for name in moved if name.startswith("encoder.encoder.layer")} == {"0", "1"}


def test_a_second_run_starts_from_the_first(trained: tuple[Path, dict[str, Any]], data: Path, tmp_path: Path) -> None:
    # The rate rises from nothing: one step moves nothing.
    start = trained[0] / "last.pt"
    recipe = run("--data", data, "--out", tmp_path, "--start", start, "--clozes", 30, "--steps", 1, "--seed", 2)
    assert recipe["epochs"][0]["examples"] == len(Examples(data).epoch(2000, 30))
    first, second = torch.load(start), torch.load(tmp_path / "last.pt")
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_missing_data_end_the_run_with_one_line(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--out", str(tmp_path / "out")]
    environment = {name: value for name, value in os.environ.items() if name != "SOURCELINE_DATA"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1 and done.stderr.startswith("train_scorer.py: squad2-half/dev-half-v2.0.json.gz is ")
    assert "SOURCELINE_DATA" in done.stderr and done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()


def weights_after(examples: Examples, seed: int) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    model = Scorer(PACKAGED, 1)
    list(train(model, ENCODER, examples.epoch, epochs=2, rate=1e-3, seed=seed))
    return {name: weights.clone() for name, weights in model.state_dict().items()}


def test_a_seed_decides_the_weights(data: Path) -> None:
    examples = Examples(data)
    first, again, other = (weights_after(examples, seed) for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_two_examples_are_learned() -> None:
    torch.manual_seed(3)
    model = Scorer(PACKAGED, 1)
    batch = collate([encode(ENCODER, example) for example in (RIGHT, WRONG)])

    def loss() -> tuple[float, float]:
        model.eval()
        with torch.no_grad():
            answers, spans = loss_of(model(batch["ids"], batch["types"], batch["mask"]), batch)
        return answers.item(), spans.item()

    before = loss()
    list(train(model, ENCODER, lambda seed: [RIGHT, WRONG], epochs=30, rate=5e-4, seed=1))
    assert all(new < old / 4 for new, old in zip(loss(), before, strict=True))
    for example in (RIGHT, WRONG):
        encoded = ENCODER.encode(example.question, example.title, example.sentences)
        with torch.no_grad():
            logits = model(torch.tensor([encoded.ids]), torch.tensor([encoded.types]))[0].numpy()
        scores = read_scores(encoded, logits)
        assert [score.answers > 0 for score in scores] == [label == 1.0 for label in example.labels]
        best = max(scores, key=lambda score: score.margin or -math.inf)
        assert best.margin is not None and (best.margin > 0) == bool(example.span)
        assert best.span == (19, 20) or not example.span


# Targets


def test_targets_are_written_out() -> None:
    item = encode(ENCODER, Example("Who won?", "Cup", ("Brisk won.", "Ada Lin lost."), (0.0, 1.0), (1, 0, 7), True))
    # [CLS] who won ? [SEP] cup [SEP] brisk won . [SEP] ada lin lost . [SEP]
    assert len(item["ids"]) == 16 and item["span"] == (11, 12)
    assert {place: label for place, label in enumerate(item["labels"]) if not np.isnan(label)} == {10: 0.0, 15: 1.0}
    assert np.flatnonzero(item["allowed"]).tolist() == [0, 7, 8, 9, 11, 12, 13, 14]


def test_what_is_not_known_is_not_learned() -> None:
    nowhere = (IGNORED, IGNORED)
    long = ("cup " * MAX_PIECES, "Ada won.")
    assert encode(ENCODER, WRONG)["span"] == (0, 0)
    assert encode(ENCODER, Example("Who won?", "", ("Ada won.",), (1.0,)))["span"] == nowhere
    assert encode(ENCODER, Example("Who won?", "", long, (0.0, 1.0), (1, 0, 3), True))["span"] == nowhere
    assert encode(ENCODER, Example("Who won?", "", ("Ada won.  ",), (1.0,), (0, 8, 10), True))["span"] == nowhere


def test_padding_changes_no_loss() -> None:
    torch.manual_seed(1)
    model = Scorer(PACKAGED, 1).eval()
    short = Example("Who?", "", ("Ada won.",), (1.0,), (0, 0, 3), True)

    def losses(*examples: Example) -> np.ndarray[Any, Any]:
        batch = collate([encode(ENCODER, example) for example in examples])
        with torch.no_grad():
            return np.array(
                [part.item() for part in loss_of(model(batch["ids"], batch["types"], batch["mask"]), batch)]
            )

    # Answers are averaged over sentences (one and three), spans over examples.
    alone, other, both = losses(short), losses(RIGHT), losses(short, RIGHT)
    assert both == pytest.approx((alone + other * [3, 1]) / [4, 2], abs=1e-5)


def test_batches_hold_everything_once() -> None:
    items = [{**encode(ENCODER, RIGHT), "span": (number, 0)} for number in range(500)]
    made = list(batches(items, random.Random(1)))
    assert sorted(int(row[0]) for batch in made for row in batch["span"]) == list(range(500))
    assert len(made) > 1 and max(batch["ids"].numel() for batch in made) <= 3000


# Export


@pytest.mark.filterwarnings("ignore:# The axis name:UserWarning", "ignore::FutureWarning")
@pytest.mark.parametrize("int8", [False, True])
def test_the_exported_layers_say_what_was_trained(scorer: Scorer, tmp_path: Path, int8: bool) -> None:
    path = tmp_path / "scorer.onnx"
    export(scorer, path, int8=int8)
    loaded = OnnxScorer(path.read_bytes(), PACKAGED)
    assert path.stat().st_size < (5_000_000 if int8 else 20_000_000), "the word vectors do not belong into the file"
    for sentences in (SENTENCES, ("Yes.",), ("The cup went home. " * 10,) * 9):
        encoded = ENCODER.encode(RIGHT.question, RIGHT.title, sentences)
        with torch.no_grad():
            expected = scorer(torch.tensor([encoded.ids]), torch.tensor([encoded.types]))[0].numpy()
        assert loaded._run(encoded) == pytest.approx(expected, abs=0.3 if int8 else 1e-4)
        (scores,) = loaded.score(RIGHT.question, [passage(RIGHT.title, sentences)])
        assert len(scores) == len(sentences)
