"""Recognises the wrong kinds of files by their first bytes, and says how to get the right ones.

A failed download or a forgotten unpacking step leaves such files under the expected name.
"""

from __future__ import annotations

import codecs
import dataclasses
import os
import re

HEAD_BYTES = 512  # enough for every kind; a tar file's mark is at byte 257
_TAR_MARK = slice(257, 262)


class WrongKindError(ValueError):
    """The file is not of the kind that its name says."""


@dataclasses.dataclass(frozen=True)
class FileKind:
    """A kind of file.

    Attributes:
      name: for example "a gzip file".
      advice: what the user should do with it, a sentence with {path} in place of the file.
    """

    name: str
    advice: str

    def error(self, path: str | os.PathLike[str], wanted: str) -> WrongKindError:
        """The error for a file at `path` that should be `wanted`, such as "a BSON dump"."""
        path = os.fspath(path)
        advice = self.advice.format(path=path)
        return WrongKindError(f"{path} must be {wanted}. Received: {self.name}. {advice}")


_GZIP = FileKind("a gzip file", "Unpack it: mv '{path}' '{path}.gz' && gunzip '{path}.gz'")
_ZIP = FileKind(
    "a zip file",
    "Unpack it: mv '{path}' '{path}.zip' && unzip '{path}.zip' (an Excel workbook is a zip file as "
    "well: save it as CSV in UTF-8).",
)
_7Z = FileKind("a 7z file", "Unpack it: mv '{path}' '{path}.7z' && 7z x '{path}.7z'")
_BZIP2 = FileKind("a bzip2 file", "Unpack it: mv '{path}' '{path}.bz2' && bunzip2 '{path}.bz2'")
_XZ = FileKind("an xz file", "Unpack it: mv '{path}' '{path}.xz' && unxz '{path}.xz'")
_ZSTD = FileKind("a zstd file", "Unpack it: mv '{path}' '{path}.zst' && unzstd '{path}.zst'")
_LZ4 = FileKind("an lz4 file", "Unpack it: mv '{path}' '{path}.lz4' && unlz4 '{path}.lz4'")
_RAR = FileKind("a RAR file", "Unpack it: mv '{path}' '{path}.rar' && unrar x '{path}.rar'")
_COMPRESS = FileKind("a .Z file", "Unpack it: mv '{path}' '{path}.Z' && uncompress '{path}.Z'")
_TAR = FileKind("a tar file", "Unpack it: mv '{path}' '{path}.tar' && tar xf '{path}.tar'")
_ARCHIVE = FileKind(
    "a mongodump archive",
    "An archive holds whole databases. Restore it with `mongorestore --archive='{path}'`, then "
    "dump the collection with `mongodump --db=DB --collection=COLLECTION --out=FOLDER`.",
)
_LFS = FileKind(
    "a Git LFS pointer", "The file itself was not downloaded: run `git lfs pull` in its repository."
)
_HTML = FileKind(
    "an HTML page",
    "The download was answered with a web page, often one to sign in or to accept rules. Sign in, "
    "accept the competition's rules and download the file again.",
)
_XML = FileKind(
    "an XML document",
    "A server often answers a failed download with one; it may say why. Download the file again.",
)
_JSON = FileKind(
    "JSON text",
    "If it comes from `mongoexport`, import it with `mongoimport` and dump it with `mongodump`, "
    "which writes BSON. If it is a server's error message, download the file again.",
)
_OTHER = "Check which file has this name, and put the right one there."
_TEXT = FileKind(
    "text",
    "If it is a server's message (see `head -n 3 '{path}'`), download the file again. "
    "If it is another file of the competition, put the right one there.",
)
_BSON = FileKind("BSON documents", "Put each file under its own name: these may be swapped.")
_UTF_16 = FileKind("text in UTF-16 or UTF-32", "Save it again in UTF-8.")

_MARKS = (
    (b"\x1f\x8b\x08", _GZIP),
    (b"PK\x03\x04", _ZIP),
    (b"PK\x05\x06", _ZIP),
    (b"7z\xbc\xaf\x27\x1c", _7Z),
    (b"BZh", _BZIP2),
    (b"\xfd7zXZ\x00", _XZ),
    (b"\x28\xb5\x2f\xfd", _ZSTD),
    (b"\x6d\xe2\x99\x81", _ARCHIVE),
    (b"\x04\x22\x4d\x18", _LZ4),
    (b"Rar!\x1a\x07", _RAR),
    (b"\x1f\x9d", _COMPRESS),
    (b"PAR1", FileKind("a Parquet file", _OTHER)),
    (b"SQLite format 3\0", FileKind("an SQLite database", _OTHER)),
    (b"%PDF-", FileKind("a PDF file", _OTHER)),
    (b"\x89HDF\r\n\x1a\n", FileKind("an HDF5 file", _OTHER)),
    (b"\x93NUMPY", FileKind("a NumPy file", _OTHER)),
    (b"\xff\xd8\xff", FileKind("a JPEG picture", _OTHER)),
    (b"\x89PNG\r\n\x1a\n", FileKind("a PNG picture", _OTHER)),
)
_UTF_16_MARK = re.compile(rb"\xff\xfe[^\0]\0|\xfe\xff\0[^\0]|\xff\xfe\0\0|\0\0\xfe\xff")
# "404" is a message; fewer bytes may be the beginning of a document.
_LEAST_BYTES = 3
_CONTROL = re.compile(rb"[^\t\n\f\r\x20-\x7e\x80-\xff]")  # bytes that text does not contain
_TEXT_MARKS = (  # after white space, in upper or lower case
    (b"version https://git-lfs.github.com/spec/", _LFS),
    (b"<?xml", _XML),
    (b"<", _HTML),
    (b"{", _JSON),
    (b"[", _JSON),
)


def kind_instead_of_bson(head: bytes) -> FileKind | None:
    """As `kind_of`, or text of any other kind, which a dump cannot be."""
    if len(head) < _LEAST_BYTES:
        return None
    return kind_of(head) or (None if _CONTROL.search(head) else _TEXT)


def kind_instead_of_csv(data: bytes) -> FileKind | None:
    """As `kind_of`, or BSON documents; `data` is the whole file."""
    length = int.from_bytes(data[:4], "little", signed=True)
    starts_with_document = 5 <= length <= len(data) and not data[length - 1]
    return kind_of(data[:HEAD_BYTES]) or (_BSON if starts_with_document else None)


def kind_of(head: bytes) -> FileKind | None:
    """The kind of a file that is neither BSON nor CSV.

    Args:
      head: its first `HEAD_BYTES` bytes, or all of a shorter file.

    Returns:
      The kind, or None without a known mark. A BSON document may carry the mark of another kind by
      chance, so call this only for bytes that are not a document.
    """
    for mark, kind in _MARKS:
        if head.startswith(mark):
            return kind
    if head[_TAR_MARK] == b"ustar":
        return _TAR
    if _UTF_16_MARK.match(head):
        return _UTF_16
    text = head.removeprefix(codecs.BOM_UTF8).lstrip().lower()
    if _CONTROL.search(text):  # binary, even if it starts like text
        return None
    return next((kind for mark, kind in _TEXT_MARKS if text.startswith(mark)), None)
