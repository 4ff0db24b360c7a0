"""Sourceline: question answering over a folder of news articles, every sentence cited to its source sentence.

The data path is the file list::

    corpus/ ──readers──▶ Article ──sentences──▶ Sentence ──chunks──▶ Chunk ──embedders──▶ vector
                                                                       │                    │
                                                                       ▼                    ▼
                                                     catalog (SQLite) + lexical        stores (FAISS)
                                                                       └── one generation in index/ ──┘
    question ──retrieval──▶ Passage ──answerers──▶ Statement ──support, citations──▶ Answer
"""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    if name != "__version__":
        raise AttributeError(name)
    # Only those who ask for the version pay for looking it up: it is a fifth of the time of `qa --help`.
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("sourceline")
    except PackageNotFoundError:  # imported from a source tree that was never installed
        return "0.0.0"
