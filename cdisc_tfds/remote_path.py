"""Paths on a storage that TensorFlow reaches, such as `gs://bucket/folder`.

`RemotePath` is a `pathlib.Path`, so code that only calls its methods works on both. What object
stores lack (renames, permissions, links) raises an error; nothing falls back to the local disk.
"""

from __future__ import annotations

import contextlib
import errno
import fnmatch
import io
import os
import pathlib
import stat
import types
from collections.abc import Generator, Iterator
from typing import IO, Any, NoReturn

_BUFFER_BYTES = 1 << 20

# The methods of `pathlib.Path` that change or describe what object stores do not have.
_LACKING = (
    "chmod",
    "lchmod",
    "copy",
    "copy_into",
    "move",
    "move_into",
    "group",
    "hardlink_to",
    "link_to",
    "owner",
    "readlink",
    "rename",
    "replace",
    "samefile",
    "symlink_to",
    "walk",
)


class StorageError(OSError):
    """A storage cannot be reached, or refuses what was asked of it."""


class RemotePath(pathlib.PosixPath):
    """`SCHEME://bucket/folder/file`, read and written through `tf.io.gfile`.

    Its parts are those of a relative path, whose first part is the scheme: `("gs:", "bucket")`.
    Errors of TensorFlow become OSErrors: FileNotFoundError, PermissionError, or StorageError.
    """

    def __str__(self) -> str:
        scheme, *names = self.parts or ("",)
        if not scheme.endswith(":"):
            raise ValueError(f"A path on a storage begins with its scheme. Received: {self.parts}.")
        return f"{scheme}//{'/'.join(names)}"

    def __fspath__(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __hash__(self) -> int:
        return hash(self.parts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and self.parts == other.parts

    # Its place: there are no links, no home folder, and nothing above the bucket.

    def as_posix(self) -> str:
        return str(self)

    def as_uri(self) -> str:
        return str(self)

    def is_absolute(self) -> bool:
        return True

    def absolute(self) -> RemotePath:
        return self

    def resolve(self, strict: bool = False) -> RemotePath:
        """The path with `.` and `..` taken out."""
        if strict and not self.exists():
            raise _not_found(self)
        kept: list[str] = []
        for part in self.parts[2:]:
            if part == "..":
                kept = kept[:-1]
            else:
                kept.append(part)
        return type(self)(*self.parts[:2], *kept)

    def expanduser(self) -> RemotePath:
        return self

    @property
    def parent(self) -> RemotePath:
        """The folder; of a bucket, itself."""
        return self if len(self.parts) <= 2 else type(self)(*self.parts[:-1])

    def relative_to(self, *other: Any, **options: Any) -> pathlib.PurePosixPath:  # type: ignore[override]
        """The way from the folder `other`, which has no scheme and so is no `RemotePath`."""
        return pathlib.PurePosixPath(*super().relative_to(*other, **options).parts)

    # What is there.

    def exists(self, **options: Any) -> bool:
        with _clear_errors(self):
            return bool(_tensorflow().io.gfile.exists(str(self)))

    def is_dir(self, **options: Any) -> bool:
        with _clear_errors(self):
            return bool(_tensorflow().io.gfile.isdir(str(self)))

    def is_file(self, **options: Any) -> bool:
        return self.exists() and not self.is_dir()

    def is_symlink(self) -> bool:
        return False

    def is_junction(self) -> bool:
        return False

    def is_mount(self) -> bool:
        return False

    def is_socket(self) -> bool:
        return False

    def is_fifo(self) -> bool:
        return False

    def is_block_device(self) -> bool:
        return False

    def is_char_device(self) -> bool:
        return False

    def stat(self, **options: Any) -> os.stat_result:
        """Size and time of the last change; object stores know no more."""
        with _clear_errors(self):
            found = _tensorflow().io.gfile.stat(str(self))
        mode = stat.S_IFDIR if found.is_directory else stat.S_IFREG
        seconds = found.mtime_nsec // 1_000_000_000
        return os.stat_result(
            (mode, 0, 0, 1, 0, 0, found.length, seconds, seconds, seconds),
            {"st_mtime_ns": found.mtime_nsec},
        )

    def lstat(self) -> os.stat_result:
        return self.stat()

    def iterdir(self) -> Generator[RemotePath, None, None]:
        with _clear_errors(self):
            names = _tensorflow().io.gfile.listdir(str(self))
        # Folders end in a slash on some storages.
        yield from (self / name.rstrip("/") for name in names)

    def glob(self, pattern: str, **options: Any) -> Generator[RemotePath, None, None]:
        """The paths right in this folder whose names match."""
        if "/" in pattern or "**" in pattern:
            raise NotImplementedError(f"A pattern of names in one folder. Received: {pattern}.")
        yield from (path for path in self._listed() if fnmatch.fnmatchcase(path.name, pattern))

    def rglob(self, pattern: str, **options: Any) -> Generator[RemotePath, None, None]:
        """The paths in this folder, and in the folders below it, whose names match."""
        yield from self.glob(pattern)
        for path in self._listed():
            if path.is_dir():
                yield from path.rglob(pattern)

    def _listed(self) -> list[RemotePath]:
        return sorted(self.iterdir()) if self.is_dir() else []

    # Contents.

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """Opens the object; one that is written appears, or changes, when it is closed."""
        raw = _RawObject(self, "".join(letter for letter in mode if letter not in "bt"))
        binary: io.BufferedReader | io.BufferedWriter = (
            io.BufferedReader(raw, _BUFFER_BYTES)
            if raw.readable()
            else io.BufferedWriter(raw, _BUFFER_BYTES)
        )
        return binary if "b" in mode else io.TextIOWrapper(binary, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        with _clear_errors(self):  # in one request; a file is read in many
            return bytes(_tensorflow().io.read_file(str(self)).numpy())

    # Changes.

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """Makes the folder, and those above it."""
        if not exist_ok and self.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))
        with _clear_errors(self):
            _tensorflow().io.gfile.makedirs(str(self))

    def touch(self, mode: int = 0o666, exist_ok: bool = True) -> None:
        """Makes an empty object, unless there is one."""
        if not self.exists():
            self.write_bytes(b"")
        elif not exist_ok:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(self))

    def unlink(self, missing_ok: bool = False) -> None:
        try:
            with _clear_errors(self):
                _tensorflow().io.gfile.remove(str(self))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def rmdir(self) -> None:
        if any(self.iterdir()):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY), str(self))
        self.remove_tree()

    def remove_tree(self) -> None:
        """Removes the folder and all that is in it."""
        with _clear_errors(self):
            _tensorflow().io.gfile.rmtree(str(self))


def _lacking(name: str) -> Any:
    def refuse(self: RemotePath, *args: Any, **kwargs: Any) -> NoReturn:
        raise io.UnsupportedOperation(f"A storage such as that of {self} has no `{name}`.")

    return refuse


for _name in _LACKING:
    setattr(RemotePath, _name, _lacking(_name))


class _RawObject(io.RawIOBase):
    """An object's bytes, for Python's buffers.

    Args:
      path: the object.
      mode: `r`, `w` or `a`.
    """

    def __init__(self, path: RemotePath, mode: str):
        if mode not in ("r", "w", "a"):
            raise ValueError(f"An object is read, written or appended to. Received: {mode!r}.")
        self._path, self._mode = path, mode
        self.name = str(path)
        if mode == "r" and not path.is_file():
            raise _not_found(path)
        if mode == "w" and path.parts[0] == "ram:":
            path.unlink(missing_ok=True)  # TensorFlow would append to what is there
        self._file = _tensorflow().io.gfile.GFile(str(path), f"{mode}b")

    def readable(self) -> bool:
        return self._mode == "r"

    def writable(self) -> bool:
        return self._mode != "r"

    def seekable(self) -> bool:
        return self._mode == "r"

    def readinto(self, buffer: Any) -> int:
        with _clear_errors(self._path):
            data = self._file.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        with _clear_errors(self._path):
            self._file.seek(offset=offset, whence=whence)
            return int(self._file.tell())

    def tell(self) -> int:
        with _clear_errors(self._path):
            return int(self._file.tell())

    def write(self, data: Any) -> int:
        with _clear_errors(self._path):
            self._file.write(bytes(data))
        return len(data)

    def close(self) -> None:
        if not self.closed:
            super().close()
            with _clear_errors(self._path):
                self._file.close()


@contextlib.contextmanager
def _clear_errors(path: RemotePath) -> Iterator[None]:
    """Turns TensorFlow's errors into OSErrors."""
    errors = _tensorflow().errors
    try:
        yield
    except errors.NotFoundError as error:
        raise _not_found(path) from error
    except (errors.PermissionDeniedError, errors.UnauthenticatedError) as error:
        raise PermissionError(
            errno.EACCES, f"The storage refuses access: {_first_line(error)}", str(path)
        ) from error
    except errors.OpError as error:
        raise StorageError(
            f"The storage of {path} must do what it is asked to. Received: {_first_line(error)} "
            "Check the bucket, the credentials and the network, and start the same command again."
        ) from error


def _not_found(path: RemotePath) -> FileNotFoundError:
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))


def _first_line(error: Any) -> str:
    return f"{error.message.strip().splitlines()[0].rstrip('.')}."


def _tensorflow() -> types.ModuleType:
    # The build's processes import this module too, and need no TensorFlow.
    import tensorflow

    return tensorflow
