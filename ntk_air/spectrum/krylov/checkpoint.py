"""Checkpoints of a Krylov space: one file a pass over the kernel, so that a kill loses one pass.

A computation is a chain of generations. Each begins with a whole state and grows by one record a
pass; a restart, which compresses the space, begins the next. A generation's files go when the next
one's first file is in place, so that at every moment one whole state is on the disk.

Each file begins with a hash of its content and of the record before it. So a record that is
damaged, or that does not continue the one before it, is told from a good one.
"""

import hashlib
import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ntk_air._base import files
from ntk_air._base.typing import AnyArray
from ntk_air._base.version import computed_with

Record = dict[str, np.ndarray]

_IDENTITY = "identity.json"
_HASH_BYTES = hashlib.sha256().digest_size


class Checkpoint:
    """The folder that a computation's passes are kept in.

    Args:
        folder: Folder for one computation alone, made where it is missing.
        belongs_to: Text that stands for the kernel, such as a hash of data and architecture: a
            folder that belongs to something else is refused.
    """

    def __init__(self, folder: Path, *, belongs_to: str):
        self.folder = folder
        self._belongs_to = belongs_to
        self._identity = self._last = b""
        self._generation, self._passes = -1, 0

    def open(self, computation: Mapping[str, object], start: AnyArray) -> list[Record]:
        """The records of the last generation, in order; none where the computation is new.

        A record that is damaged is dropped with those that follow it: its pass is done again.

        Args:
            computation: Facts that decide what is computed, as JSON can hold them.
            start: Block of vectors that it starts from.

        Raises:
            ValueError: the folder belongs to another computation, or was begun with another JAX.
        """
        identity = {
            "belongs_to": self._belongs_to,
            "computation": json.loads(json.dumps(computation)),
            "start": hashlib.sha256(np.ascontiguousarray(start).data).hexdigest(),
        }
        path = self.folder / _IDENTITY
        self.folder.mkdir(parents=True, exist_ok=True)
        found = files.read_json(path) if path.exists() else None
        if found is None or "made_with" in found:  # 0.1 did not say
            identity["made_with"] = computed_with()
        if found is not None:
            changed = sorted(key for key, value in identity.items() if found.get(key) != value)
            if changed:
                made_with = found.get("made_with")
                versions = f" (there {made_with})" if "made_with" in changed else ""
                raise ValueError(
                    f"checkpoint must belong to this computation; {self.folder} holds one that "
                    f"differs in {', '.join(changed)}{versions}: remove the folder or choose "
                    "another"
                )
        else:
            files.write_json(path, identity)
        self._identity = json.dumps(identity, sort_keys=True).encode()
        return self._read()

    def begin(self, record: Mapping[str, AnyArray]) -> None:
        """Write the whole state that the next generation begins with."""
        self._generation, self._passes = self._generation + 1, 0
        self._last = self._root(self._generation)
        self._write(record)
        for path in self.folder.glob("*.record"):
            if _generation(path) < self._generation:
                path.unlink(missing_ok=True)

    def append(self, record: Mapping[str, AnyArray]) -> None:
        """Write what one more pass has added."""
        self._passes += 1
        self._write(record)

    def remove(self) -> None:
        """Delete the folder: the result is kept elsewhere."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _write(self, record: Mapping[str, AnyArray]) -> None:
        buffer = io.BytesIO()
        np.savez(buffer, **{name: np.asarray(array) for name, array in record.items()})  # pyright: ignore[reportArgumentType]
        content = buffer.getvalue()
        self._last = hashlib.sha256(self._last + content).digest()
        files.write_bytes(self._path(self._generation, self._passes), self._last + content)

    def _read(self) -> list[Record]:
        generations = sorted({_generation(path) for path in self.folder.glob("*.record")})
        for generation in reversed(generations):
            records: list[Record] = []
            last = self._root(generation)
            while content := self._content(generation, len(records), last):
                last = content[:_HASH_BYTES]
                with np.load(io.BytesIO(content[_HASH_BYTES:]), allow_pickle=False) as arrays:
                    records.append({name: arrays[name] for name in arrays.files})
            if records:
                self._generation, self._passes = generation, len(records) - 1
                self._last = last
                return records
        self._generation = max(generations, default=-1)
        return []

    def _content(self, generation: int, number: int, last: bytes) -> bytes:
        """A record's file; nothing where there is none that continues the chain."""
        path = self._path(generation, number)
        if not path.exists():
            return b""
        content = path.read_bytes()
        whole = hashlib.sha256(last + content[_HASH_BYTES:]).digest() == content[:_HASH_BYTES]
        return content if whole else b""

    def _root(self, generation: int) -> bytes:
        return self._identity + str(generation).encode()

    def _path(self, generation: int, number: int) -> Path:
        return self.folder / f"{generation:05d}-{number:05d}.record"


def _generation(path: Path) -> int:
    return int(path.name.split("-")[0])
