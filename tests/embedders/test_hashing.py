"""The embedder that tests build on is the same everywhere."""

from __future__ import annotations

import hashlib

import numpy as np

from qa.embedders.hashing import HashingEmbedder


def test_its_vectors_never_change() -> None:
    vector = HashingEmbedder().embed_query("The strike at the port, the second strike, ended.")
    places = np.flatnonzero(vector).tolist()
    assert places == [23, 109, 185, 230, 236, 250]
    assert hashlib.sha256(np.round(vector, 5).astype("<f4").tobytes()).hexdigest()[:16] == "4a5b53827ea9469d"


def test_word_order_case_and_marks_do_not_matter() -> None:
    embedder = HashingEmbedder()
    same = embedder.embed_query("Strike ended. Port!") - embedder.embed_query("PORT strike ENDED")
    assert not same.any()


def test_repeats_count_less_and_less() -> None:
    embedder = HashingEmbedder()
    strike = embedder.embed_query("strike")
    cosines = [float(embedder.embed_query("port " + "strike " * n) @ strike) for n in (1, 2, 4, 8)]
    assert cosines == sorted(cosines)
    assert np.diff(cosines)[0] > np.diff(cosines)[-1]
