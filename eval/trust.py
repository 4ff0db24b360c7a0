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
SHOWN = ("cited.hit@3", "citation.precision", "false_answer", "false_refusal")


def main() -> None:
    figures = json.loads(FIGURES.read_text(encoding="utf-8")) if FIGURES.exists() else {}
    for path in map(Path, sys.argv[1:]):
        report = load_baseline(path)
        about = report["about"]
        figures[about["dataset"]] = {
            "about": {name: about[name] for name in ("questions", "articles", "version", "date")},
            "metrics": {name: report["metrics"][name] for name in SHOWN},
            "median_ms": report["latency_ms"]["total"]["median"],
        }
    FIGURES.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
