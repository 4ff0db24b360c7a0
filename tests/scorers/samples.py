"""Passages to score, and a small cross-encoder that is made here: no model is downloaded."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from qa.embedders.models import DEFAULT_MODEL, find_model
from qa.types import Article, Chunk, Passage, Sentence

PACKAGED = find_model(DEFAULT_MODEL, verify=False).folder


def passage(title: str, sentences: Sequence[str], number: int = 1) -> Passage:
    """A whole article of these sentences."""
    article = Article(f"a_{number}", title, " ".join(sentences))
    spans, at = [], 0
    for index, text in enumerate(sentences):
        spans.append(Sentence(article.id, index, at, at + len(text), text))
        at += len(text) + 1
    chunk = Chunk(number, article.id, 0, len(spans), 0, len(article.text), 20)
    return Passage(chunk, article, tuple(spans), 1.0)


def make_cross_encoder(folder: Path, labels: Sequence[str] = ("LABEL_0",)) -> str:
    """Save a random BERT of two thin layers with the packaged tokenizer; return its name, the folder."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    torch.manual_seed(7)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    model = BertForSequenceClassification(BertConfig(id2label=dict(enumerate(labels)), initializer_range=0.5, **shape))
    model.save_pretrained(folder)
    save_tokenizer(folder)
    return str(folder)


def save_tokenizer(folder: Path, **options: int) -> None:
    """Save the packaged tokenizer as a model's own."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(PACKAGED / "tokenizer.json"),
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        **options,
    )
    tokenizer.save_pretrained(folder)
