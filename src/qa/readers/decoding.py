"""From bytes to text: byte order mark, declared charset, UTF-8, detection, and cp1252 when nothing else fits."""

from __future__ import annotations

import codecs
import re

from qa.errors import ReaderError
from qa.readers.notes import warn

__all__ = ["decode", "declared_charset"]

_MARKS = (  # UTF-32 before UTF-16: the little-endian marks begin alike.
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_MAGIC = (
    b"%PDF-",
    b"PK\x03\x04",
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"GIF8",
    b"\x1f\x8b",
    b"BZh",
    b"\x7fELF",
    b"SQLite format",
)
_DECLARED = re.compile(
    rb"""<meta[^>]{0,200}?charset\s*=\s*["']?\s*([\w.:-]{1,40})|<\?xml[^>]{0,200}?encoding\s*=\s*["']([\w.:-]{1,40})""",
    re.I,
)

# What a page may declare, by Python's name for it. A list, because Python also knows codecs that are no charsets
# (`unicode_escape`, `idna`), and because browsers read some names as their supersets.
_SINGLE_BYTE = {
    **{f"cp{number}": f"cp{number}" for number in (874, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)},
    **{f"iso8859-{part}": f"iso8859-{part}" for part in (2, 3, 4, 5, 6, 7, 8, 10, 13, 14, 15, 16)},
    **dict.fromkeys(("ascii", "iso8859-1"), "cp1252"),
    "iso8859-9": "cp1254",
    "koi8-r": "koi8-r",
    "koi8-u": "koi8-u",
    "mac-roman": "mac-roman",
}
_MULTI_BYTE = {
    "shift_jis": "cp932",
    "cp932": "cp932",
    "euc_jp": "euc_jp",
    "iso2022_jp": "iso2022_jp",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "gb18030": "gb18030",
    "big5": "big5hkscs",
    "euc_kr": "cp949",
    "cp949": "cp949",
}
# Detection chooses among charsets that news was written in; left alone it also proposes DOS and EBCDIC code pages.
_LATIN = ["cp1252", "cp1250", "iso8859_2", "cp1254", "cp1257"]
_OTHER_SCRIPTS = [
    *("cp1251", "koi8_r", "koi8_u", "iso8859_5", "cp1253", "cp1255", "cp1256", "cp874"),
    *("cp932", "euc_jp", "gb18030", "big5", "cp949"),
]
_SAMPLE = 200_000
_HIGH = bytes(range(0x80, 0x100))
_CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\x1b")


def decode(data: bytes, path: str, declared: str | None = None) -> str:
    """Return the text of a file; a guess is a warning. Raises `ReaderError` when it is not text."""
    if not data.strip():
        raise ReaderError(path, "the file is empty")
    if data.startswith(_MAGIC):
        raise ReaderError(path, "binary file, not text")
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return _decode_marked(data[len(mark) :], encoding, path)
    if _too_many_controls(data):
        raise ReaderError(path, "binary file, not text")
    return _decode_unmarked(data, path, declared)


def declared_charset(data: bytes) -> str | None:
    """Return the charset named by an HTML `meta` or an XML declaration near the start of `data`."""
    found = _DECLARED.search(data[:4096])
    return (found[1] or found[2]).decode("ascii", "replace") if found else None


def _decode_marked(data: bytes, encoding: str, path: str) -> str:
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError:
        if encoding == "utf-8":  # The mark was put before text that is something else.
            return _decode_unmarked(data, path, None)
        text = data.decode(encoding, "replace")
        if text.count("\ufffd") > 2 + len(text) // 100:
            raise ReaderError(path, f"binary file: it starts as {encoding.upper()}, but is not") from None
        warn(path, f"damaged {encoding.upper()}: what could not be decoded is shown as \ufffd")
    if not text.strip():
        raise ReaderError(path, "the file is empty")
    return text


def _decode_unmarked(data: bytes, path: str, declared: str | None) -> str:
    encoding = _known(declared, path)
    if encoding is not None and encoding in _MULTI_BYTE.values():
        text = _strict(data, encoding)
        if text is not None:
            return text
    text = _utf8(data, path)
    if text is not None:
        # Text that is not UTF-8 is practically never valid UTF-8 by chance, while pages saved again as UTF-8 under an
        # old declaration are common; so UTF-8 wins over a declared single-byte charset, which accepts any bytes.
        if encoding is not None and not data.isascii():
            warn(path, f"declares {declared}, but is UTF-8")
        return text
    if encoding is not None:
        text = _strict(data, encoding)
        if text is not None:
            return text
        warn(path, f"declares {declared}, but is not")
    return _guess(data, path)


def _known(declared: str | None, path: str) -> str | None:
    if declared is None:
        return None
    try:
        name = codecs.lookup(declared).name
    except (LookupError, ValueError):
        name = ""
    if name.startswith(("utf-8", "utf-16", "utf-32")):
        return None  # The two others cannot be true where the declaration itself could be read as ASCII.
    encoding = _SINGLE_BYTE.get(name) or _MULTI_BYTE.get(name)
    if encoding is None:
        warn(path, f"declares the unknown charset {declared}")
    return encoding


def _utf8(data: bytes, path: str) -> str | None:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        cut_off = error.reason == "unexpected end of data" and error.start > 0 and not data[: error.start].isascii()
    if not cut_off:
        return None
    warn(path, "ends in the middle of a character; the file may be incomplete")
    return data.decode("utf-8", "ignore")


def _guess(data: bytes, path: str) -> str:
    for encoding in (_detect(data), "cp1252"):
        text = _strict(data, encoding)
        if text is not None and not _too_many_c1(text):
            warn(path, f"not UTF-8; read as {encoding}, which is a guess: save it as UTF-8")
            return text
    raise ReaderError(path, "binary file, or text in an unknown encoding: save it as UTF-8")


def _detect(data: bytes) -> str:
    from charset_normalizer import from_bytes

    # Other scripts write every letter outside ASCII, and eastern Europe every tenth: a pound sign or two in an English
    # report is neither Japanese nor a Polish "Ł".
    beyond_ascii = (len(data) - len(data.translate(None, _HIGH))) / len(data)
    if beyond_ascii < 0.02:
        return "cp1252"
    candidates = _LATIN + _OTHER_SCRIPTS if beyond_ascii > 0.1 else _LATIN
    found = list(from_bytes(data[:_SAMPLE], cp_isolation=candidates))
    if not found:
        return "cp1252"
    # Neighbouring code pages often fit a text equally well ("très" or "trčs"); then the commonest one is right.
    ties = [match for match in found if (match.chaos, -match.coherence) <= (found[0].chaos, -found[0].coherence)]
    return "cp1252" if any(match.encoding == "cp1252" for match in ties) else found[0].encoding


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError:
        return None


def _too_many_controls(data: bytes) -> bool:
    # A stray NUL or two is damage in a text; one byte in twenty is another kind of file.
    return (len(data) - len(data.translate(None, _CONTROLS))) * 20 > len(data)


def _too_many_c1(text: str) -> bool:
    return sum(text.count(chr(code)) for code in range(0x80, 0xA0)) * 50 > len(text)
