"""Invariant 4 over real processes: articles come, change and go while clients ask, and no answer is lost or stale."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLLOW_SECONDS = 2.0


@pytest.mark.parametrize("builder", ["watch", "index"])
def test_answers_follow_the_corpus_without_an_error_while_clients_ask(tmp_path: Path, builder: str) -> None:
    result = tmp_path / "result.json"
    script = ROOT / "eval" / "swap_under_load.py"
    arguments = ["--hashing", "--builder", builder, "--rounds", "1", "--idle", "0.5", "--clients", "4"]
    done = subprocess.run(
        [sys.executable, str(script), *arguments, "--corpus", str(ROOT / "tests" / "corpus"), "--json", str(result)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(result.read_text())
    assert found["problems"] == []
    assert found["swaps"] == 3  # added, edited, removed
    assert max(found["follow_seconds"]) < FOLLOW_SECONDS
    assert found["answers"] > 20
