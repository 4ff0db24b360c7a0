"""What ships with the code: web pages and starter corpus, inside the wheel or, in a checkout, next to `src/`."""

from __future__ import annotations

from pathlib import Path

__all__ = ["starter_corpus", "web_folder"]


def web_folder() -> Path:
    """The folder with `templates/` and `static/`."""
    return _shipped("web")


def starter_corpus() -> Path:
    """The folder with the articles that come with Sourceline."""
    return _shipped("corpus")


def _shipped(name: str) -> Path:
    package = Path(__file__).resolve().parent
    packaged = package / name
    return packaged if packaged.is_dir() else package.parents[1] / name
