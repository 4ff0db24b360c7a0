"""Small data sets in the formats of the published ones, invented: nothing in them is anybody else's."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from pathlib import Path
from typing import Any

DAM = "Engineers replaced 3 of the 8 turbines at the Oster Dam ."
DOCUMENT = ["The valley was quiet .", DAM, "`` We did n't sleep , '' she said .", "Goats came back to the shore ."]
ARTICLES = [
    {
        "url": "https://news.example/dam",
        "title": "Dam reopens",
        "publish_date": "2023/01/04",
        "authors": [],
        "text": "The Oster Dam reopened on Monday.\n\nThe mayor cut a ribbon and read “The Long River” aloud.",
    },
    {
        "url": "https://news.example/goats",
        "title": "Goats return",
        "publish_date": "2023/01/02",
        "authors": [],
        "text": "Forty goats returned to the northern shore of the lake after the long winter of storms.",
    },
]
QUIZ: list[dict[str, Any]] = [
    {
        "id": "river",
        "date": "2023/01/06",
        "question": "Which book did the mayor read aloud at the Oster Dam?",
        "answer": ['"The Long River"'],
    },
    {"id": "goat", "date": "2023/01/06", "question": "How many goats returned to the shore?", "answer": ["Forty"]},
    {"id": "ort", "date": "2023/01/06", "question": "Zyxwv qponm?", "answer": ["ort"]},
]
TREC = (
    "<QApairs id='1.1'>\n<question>\nWho\treplaced\tthe\tturbines\t?\nWP\tVBD\tDT\tNNS\t.\n</question>\n"
    "<positive>\nEngineers\treplaced\tthe\tturbines\tof\tthe\tdam\t.\nNNS\tVBD\n</positive>\n"
    "<negative>\nGoats & <cattle>\tcame\tback\tto\tthe\tshore\t.\nNNS\tVBD\n</negative>\n</QApairs>\n"
    "<QApairs id='1.2'>\n<question>\nWho\tcame\tback\t?\nWP\n</question>\n"
    "<positive>\nGoats\tcame\tback\tto\tthe\tshore\t.\nNNS\n</positive>\n</QApairs>\n"
    "<QApairs id='1.3'>\n<question>\nWho\tleft\t?\nWP\n</question>\n</QApairs>\n"
)
# The SHA-256 of the first name, as a number, ends in 0, that of the second in another digit.
HELD_OUT, TRAINED_ON = "Oster_Dam_0", "Oster_Dam_1"
TEST_HALF = "4"
"""Behind the name of any domain it makes a conversation of the test half."""
FOLLOW_UPS = {
    "lastturn": ["|user|: What is the Oster Dam?", "|user|: Who reopened it?", "|user|: How many goats returned home?"],
    "questions": [
        "|user|: What is the Oster Dam?",
        "|user|: What is the Oster Dam?\n|user|: Who reopened it?",
        "|user|: What is the Oster Dam?\n|user|: Who reopened it?\n|user|: How many goats returned home?",
    ],
    "rewrite": [
        "|user|: What is the Oster Dam?",
        "|user|: Who reopened the Oster Dam?",
        "|user|: How many goats returned home?",
    ],
}
BERG = "The engineer Dr. Berg had built the old dam by hand in 1931."
TURBINES = "Engineers replaced 3 of the 8 turbines in the spring of 2016."


NEWS = f"{BERG} {TURBINES} The Goats of Oster came back to the shore."
_SUMMARY = {"hash": "dam", "dataset": "bbc", "model_name": "x", "split": "valid", "article": NEWS}
SUMMARIES = [
    {**_SUMMARY, "Factuality": 1.0, "summary": "engineers replaced 3 of the turbines . goats came back to the shore ."},
    {**_SUMMARY, "Factuality": 0.5, "summary": "goats of oster came back . engineers replaced 4 of the 8 turbines ."},
    {**_SUMMARY, "Factuality": 0.0, "summary": "dr. berg had built the old dam in 1932 ."},
]
VOTES = [
    {
        "article": NEWS,
        "summary_sentences": [
            {"sentence": sentence, "responses": [{"worker_id": n, "response": vote} for n, vote in enumerate(votes)]}
        ],
    }
    for sentence, votes in (
        ("Dr. Berg had built the dam.", ("yes", "no", "yes")),
        ("Goats had built the dam in 1932.", ("no", "no", "yes")),
        ("Engineers replaced the turbines in 2016.", ("no", "yes", "no")),
    )
]


def squad(title: str) -> dict[str, Any]:
    context = f"{BERG} {TURBINES} It was very loud at the time, as people recall today."
    span = {"text": "3 of the 8 turbines", "answer_start": context.index("3 of")}
    across = {"text": "1931. Engineers", "answer_start": context.index("1931")}
    questions = [
        {"id": f"{title}-a", "question": "How many turbines did engineers replace?", "answers": [span, span]},
        {"id": f"{title}-b", "question": "What is around the stop?", "answers": [across]},
        {"id": f"{title}-c", "question": "Who painted the dam?", "answers": [], "plausible_answers": [span]},
    ]
    qas = [question | {"is_impossible": not question["answers"]} for question in questions]
    return {"title": title, "paragraphs": [{"context": context, "qas": qas}]}


def write_data(folder: Path) -> Path:
    """Write every data set below a folder; return the folder."""
    _write(folder / "realtimeqa-2023q1" / "questions.jsonl.gz", *QUIZ)
    _write(folder / "realtimeqa-2023q1" / "articles.jsonl.gz", *ARTICLES)
    _write(folder / "multirc" / "multirc-val-docs.jsonl.gz", {"doc": "News_x-1.txt", "sentences": DOCUMENT})
    asked = {"doc": "News_x-1.txt", "question": "How many turbines did engineers replace ?", "gold_sentences": [1]}
    _write(folder / "multirc" / "multirc-val-questions.jsonl.gz", asked)
    _write_text(folder / "trecqa" / "dev.xml.gz", TREC)
    titles = ("Warsaw", "Normans")
    _write_text(folder / "squad2-half" / "dev-half-v2.0.json.gz", json.dumps({"data": list(map(squad, titles))}))
    names = (HELD_OUT, TRAINED_ON)
    _write(folder / "fever" / "docs.jsonl.gz", *({"doc": name, "sentences": DOCUMENT} for name in names))
    claim = {"claim": "Engineers replaced three turbines at the Oster Dam.", "label": "SUPPORTS"}
    claims = [claim | {"id": name, "evidence": [[[name, 1, 2]], [[name, 2, 4]]]} for name in (*names, "Absent")]
    _write(folder / "fever" / "claims.jsonl.gz", *claims)
    folder_of_summaries = folder / "faithfulness"
    _write(folder_of_summaries / "frank-valid.jsonl.gz", *SUMMARIES)
    _write(folder_of_summaries / "qags-xsum.jsonl.gz", *VOTES)
    for domain in ("clapnq", "cloud", "fiqa", "govt"):
        for name, texts in FOLLOW_UPS.items():
            turns = [{"_id": f"{domain}-{TEST_HALF}<::>{n}", "text": text} for n, text in enumerate(texts, start=1)]
            path = folder / "followups" / domain / f"{domain}_{name}.jsonl"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(json.dumps(turn) + "\n" for turn in turns), encoding="utf-8")
    (folder / "newswire").mkdir()
    with tarfile.open(folder / "newswire" / "bbc.tar.gz", "w:gz") as archive:
        for name, text in (("BBC/README.TXT", "About\n"), ("BBC/tech/001.txt", "Lamp\n\nThe old lamp was sold.\n")):
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return folder


def _write(path: Path, *records: dict[str, Any]) -> None:
    _write_text(path, "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode()))
