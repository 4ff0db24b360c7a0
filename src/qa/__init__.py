"""Sourceline: question answering over a folder of news articles, every sentence cited to its source sentence.

The data path is the file list::

    corpus/ ──readers──▶ Article ──sentences──▶ Sentence ──chunks──▶ Chunk ──embedders──▶ vector
                                                                       │                    │
                                                                       ▼                    ▼
                                                     catalog (SQLite) + lexical        stores (FAISS)
                                                                       └── one generation in index/ ──┘
    question ──retrieval──▶ Passage ──answerers──▶ Statement ──support, citations──▶ Answer
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("sourceline")
except PackageNotFoundError:  # imported from a source tree that was never installed
    __version__ = "0.0.0"

__all__ = ["__version__"]
