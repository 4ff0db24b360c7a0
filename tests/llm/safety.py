"""What holds for every answer, whatever the model and the articles say."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from starlette.testclient import TestClient

from llm.hostile import KEY

_ACTIVE = re.compile(r"[<>\[\]`{}|]|://|javascript:|data:|www\.|[a-z]\.example|&#|&\w+;|\*\*", re.I)


def check_reply(client: TestClient, reply: dict[str, Any]) -> None:
    """Assert what no reply may break; the request had `include` = `passages`."""
    assert KEY not in str(reply)
    retrieved = {sentence for passage in reply["passages"] for sentence in passage["sentence_ids"]}
    citations = {citation["n"]: citation for citation in reply["citations"]}
    assert sorted(citations) == list(range(1, len(citations) + 1))
    for citation in citations.values():
        assert set(citation["sentence_ids"]) <= retrieved
        text = client.get(f"/v1/articles/{citation['article_id']}").json()["text"]
        assert text[citation["source_start"] : citation["source_end"]] == citation["quote"] != ""
        assert citation["verified"] is True and citation["support"]["label"] == "supported"
    for segment in reply["answer"]["segments"]:
        assert segment["citations"], "every sentence is cited"
        said = segment["text"]
        quotes = [citations[n]["quote"] for n in segment["citations"]]
        assert not any(unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn") for c in said)
        for found in _ACTIVE.finditer(said):
            assert any(found[0] in quote for quote in quotes), found[0]
    assert (reply["status"] == "answered") == bool(reply["answer"]["segments"])


def codes(reply: dict[str, Any]) -> set[str]:
    """The codes of its notes."""
    return {note["code"] for note in reply["notes"]}
