"""Take what the trust table of the README shows out of stored reports; a data set that none is given of stays as it is.

    python eval/trust.py eval/baseline.json build/realtimeqa.json && python tests/test_docs.py

`make trust` measures first.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from qa.report import load_baseline

FIGURES = Path(__file__).with_name("trust.json")
SOURCES = ("edits", "frank", "qags", "fever")
SUPPORT = tuple(f"support.{name}.{source}" for source in SOURCES for name in ("false_pass", "false_drop"))
SHOWN = ("cited.hit@3", "citation.precision", "false_answer", "false_refusal")


def main() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for path in map(Path, sys.argv[1:]):
        report = load_baseline(path)
        about, metrics = report["about"], report["metrics"]
        shown, stage = (SUPPORT, "check") if about["dataset"] == "support" else (SHOWN, "total")
        figures[about["dataset"]] = {
            "about": {name: about[name] for name in ("questions", "articles", "version", "date")},
            "metrics": {name: metrics[name] for name in shown},
            "median_ms": report["latency_ms"][stage]["median"],
        }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
