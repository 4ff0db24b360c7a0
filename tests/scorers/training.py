"""Two small sets in the formats of SQuAD 2.0 and FEVER, invented, to train on. What is held out has a pelican."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

MILL = (
    "Ruth Alder founded the Corvey mill in 1841. It made window glass for the Port of Lisse. The mill burned down in "
    "1867, and was rebuilt within 2 years. Two sons of Jan Roth and a brother of Jan Roth slept beside the ovens."
)
OVENS = "The Tannhof mill was owned by Emil Braun, a painter. Its ovens went cold in 1902. Emil Braun moved to Lisse."
BOOK = "Ruth Alder also wrote. Her report on who founded the Corvey mill was printed in 1841. Her book sold badly."
PELICAN = "The pelican on the gate was made by Ida Falk in 1701. Nobody has seen the pelican since."
QUESTIONS = {
    MILL: {"Who founded the Corvey mill?": ("Ruth Alder", "Alder"), "What burned down in 1867?": ("The mill",)},
    OVENS: {"Who owned the Tannhof mill?": ("Emil Braun",), "What went cold in 1902?": ("Its ovens", "ovens")},
    BOOK: {"What sold badly?": ("Her book",), "What was printed in 1841?": ("Her report",)},
    PELICAN: {"Who made the pelican?": ("Ida Falk",)},
}
PLAUSIBLE = ("Who sold the Corvey mill?", "Ruth Alder")
ARTICLES = {"Glass_Mills": (MILL, OVENS, BOOK), "Warsaw": (PELICAN,)}

# The SHA-256 of the first name, as a number, ends in 0, those of the others in other digits.
PAGES = {
    "Oster_Dam_0": ["A pelican lives on the dam .", "The dam is old ."],
    "Oster_Dam_1": ["Oster Dam 1 -LRB- a dam -RRB- lies on the Ilse .", "Vera Holm built it in 1931 .", "It leaks ."],
    "Brenn_Pass": ["Brenn Pass is `` a road '' near Halm .", "Snow closes it in the winter of most years ."],
}
CLAIMS: list[tuple[str, str, list[list[tuple[str, int, int]]]]] = [
    ("Oster Dam 1 is on the Ilse.", "SUPPORTS", [[("Oster_Dam_1", 0, 1)], [("Oster_Dam_0", 1, 2)]]),
    ("Oster Dam 1 was built in 1990.", "REFUTES", [[("Oster_Dam_1", 1, 3)]]),
    ("A pelican lives on a dam.", "SUPPORTS", [[("Oster_Dam_0", 0, 1)]]),
    ("The tower of Absent is high.", "SUPPORTS", [[("Absent", 0, 1)]]),
]


def write_training_data(folder: Path) -> Path:
    """Write both sets below a folder; return the folder."""
    articles = [
        {"title": title, "paragraphs": [{"context": text, "qas": _questions(text)} for text in texts]}
        for title, texts in ARTICLES.items()
    ]
    _write(folder / "squad2-half" / "dev-half-v2.0.json.gz", {"data": articles})
    _write(folder / "fever" / "docs.jsonl.gz", *({"doc": name, "sentences": text} for name, text in PAGES.items()))
    claims = [
        {"id": str(number), "claim": claim, "label": label, "evidence": evidence}
        for number, (claim, label, evidence) in enumerate(CLAIMS)
    ]
    _write(folder / "fever" / "claims.jsonl.gz", *claims)
    return folder


def _questions(text: str) -> list[dict[str, Any]]:
    asked: list[dict[str, Any]] = [
        {"id": question, "question": question, "answers": [_span(text, a) for a in answers], "is_impossible": False}
        for question, answers in QUESTIONS[text].items()
    ]
    if text == MILL:
        question, wrong = PLAUSIBLE
        plausible = {"plausible_answers": [_span(text, wrong)], "answers": [], "is_impossible": True}
        asked.append({"id": question, "question": question, **plausible})
    return asked


def _span(text: str, answer: str) -> dict[str, Any]:
    return {"text": answer, "answer_start": text.index(answer)}


def _write(path: Path, *records: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress("".join(json.dumps(record) + "\n" for record in records).encode()))
