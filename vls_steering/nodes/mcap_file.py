"""An MCAP file that is written while the run goes on: whatever ends it, what was written can be read."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from vls_steering import __version__
from vls_steering.core.errors import ConfigurationError, MissingExtra, VlsError
from vls_steering.nodes.message_definition import definition, type_name

try:
    from mcap.data_stream import RecordBuilder
    from mcap.opcode import Opcode
    from mcap.records import DataEnd, Footer
    from mcap.writer import MCAP0_MAGIC, Writer
except ImportError as missing:
    raise MissingExtra("mcap", "sim") from missing

# What is lost when the process is killed: nothing of it has reached the file before it is full.
CHUNK_BYTES = 64 * 1024


class McapFile:
    """A ROS 2 log that Foxglove, `ros2 bag play` and rosbags read without our package: definitions are inside.

    Use it as a context manager.  `add` raises VlsError when the disk takes no more; what is in the file then stays
    readable.
    """

    def __init__(self, path: Path, facts: Mapping[str, str] | None = None, overwrite: bool = False) -> None:
        """`facts` go into the file's metadata.  Raises ConfigurationError when `path` cannot be made."""
        self._path = path
        self._stream = _WholeRecords(path, overwrite)
        self._channels: dict[str, int] = {}
        self._count = 0
        self._writer = Writer(self._stream, chunk_size=CHUNK_BYTES)  # type: ignore[arg-type]
        with self._writing():
            self._writer.start(profile="ros2", library=f"vls_steering {__version__}")
            if facts:
                self._writer.add_metadata("vls_steering", dict(facts))

    def __enter__(self) -> McapFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def size_bytes(self) -> int:
        """Of what has reached the file."""
        return self._stream.tell()

    def add(self, topic: str, message_type: Any, received_ns: int, data: bytes) -> None:
        """One serialised message of the topic with this full name."""
        text = b"" if topic in self._channels else definition(message_type).encode()
        with self._writing():
            if topic not in self._channels:
                schema = self._writer.register_schema(type_name(message_type), encoding="ros2msg", data=text)
                self._channels[topic] = self._writer.register_channel(topic, message_encoding="cdr", schema_id=schema)
            self._writer.add_message(self._channels[topic], received_ns, data, received_ns, self._count)
            self._count += 1

    def close(self) -> None:
        """Write the index; raises VlsError when there is no room for it, in which case readers go without."""
        if self._stream.closed:
            return
        with self._writing():
            self._writer.finish()
        self._stream.close()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        """What the operating system says against writing ends the file where it is."""
        try:
            yield
        except OSError as error:
            self._stream.seal()
            self._stream.close()
            kept_mb = 1e-6 * self._stream.tell()
            raise VlsError(
                f"{self._path} takes no more: {error.strerror}", f"The {kept_mb:.1f} MB written until then can be read"
            ) from error


class _WholeRecords:
    """Unbuffered: what the writer hands over, whole records each time, is in the file or it is not."""

    def __init__(self, path: Path, overwrite: bool) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.exists() and not overwrite:
                raise ConfigurationError(f"{path} exists", "Give another name, or delete it")
            self._file = path.open("wb" if overwrite else "xb", buffering=0)
        except OSError as error:
            raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error
        self._end = 0  # of what is complete
        self._data_end: int | None = None  # where the messages end and the index begins

    @property
    def closed(self) -> bool:
        return self._file.closed

    def tell(self) -> int:
        return self._end

    def write(self, data: bytes) -> int:
        if data[:1] == bytes([Opcode.DATA_END]):
            self._data_end = self._end
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]
        self._end += len(data)
        return len(data)

    def seal(self) -> None:
        """Take back the half record at the end, and an index without its end; say that there is no index."""
        self._end = self._end if self._data_end is None else self._data_end
        builder = RecordBuilder()
        DataEnd(0).write(builder)
        Footer(summary_start=0, summary_offset_start=0, summary_crc=0).write(builder)
        ending = builder.end() + MCAP0_MAGIC
        try:
            os.ftruncate(self._file.fileno(), self._end)
            self._file.seek(self._end)
            if self._file.write(ending) == len(ending):
                self._end += len(ending)
            else:
                os.ftruncate(self._file.fileno(), self._end)
        except OSError:
            pass  # not even these 60 bytes: the file ends like that of a killed process

    def close(self) -> None:
        self._file.close()
