"""MCAP logs read back, also those whose recorder was killed while it wrote."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from rclpy.serialization import deserialize_message

from vls_steering.core.errors import ConfigurationError, MissingExtra
from vls_steering.nodes.message_definition import type_name
from vls_steering.nodes.topics import Topic

try:
    from mcap.exceptions import EndOfFile, McapError
    from mcap.opcode import Opcode
    from mcap.records import Channel, Message, Schema
    from mcap.stream_reader import StreamReader
except ImportError as missing:
    raise MissingExtra("mcap", "sim") from missing

_MAGIC_BYTES = 8
_RECORD_HEAD = struct.Struct("<BQ")  # opcode, bytes that follow


@dataclass(frozen=True)
class Logged:
    """One serialised message."""

    name: str  # of the topic, in full: /robot1/action_chunk
    type_name: str
    received_ns: int
    data: bytes

    def is_of(self, topic: Topic[Any]) -> bool:
        """Whether the topic is this one, in whatever namespace."""
        return f"/{self.name}".endswith(f"/{topic.name.lstrip('/')}") and self.type_name == type_name(topic.type)

    def namespace_of(self, topic: Topic[Any]) -> str:
        """What stands before the topic's own name; "/" for nothing."""
        return self.name.removesuffix(topic.name).rstrip("/") or "/"

    def message(self, topic: Topic[Any]) -> Any:
        return deserialize_message(self.data, topic.type)


def read_log(path: Path) -> Iterator[Logged]:
    """Every message in the order of the file, up to where it is complete.

    Raises ConfigurationError when it cannot be read or is no MCAP file.
    """
    channels: dict[int, tuple[str, str]] = {}
    schemas: dict[int, str] = {}
    try:
        with path.open("rb") as stream:
            for record in StreamReader(_Whole(stream)).records:  # type: ignore[arg-type]
                if isinstance(record, Schema):
                    schemas[record.id] = record.name
                elif isinstance(record, Channel):
                    channels[record.id] = record.topic, schemas.get(record.schema_id, "")
                elif isinstance(record, Message):
                    yield Logged(*channels[record.channel_id], record.log_time, record.data)
    except EndOfFile:
        return  # of a file without an end
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
    except (McapError, ValueError, KeyError, struct.error) as error:
        raise ConfigurationError(f"{path} is no MCAP log, or a damaged one: {error}") from error


class _Whole:
    """A file up to the end of its last complete message."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._end = self._whole_bytes()
        stream.seek(0)

    def read(self, size: int) -> bytes:
        return self._stream.read(max(0, min(size, self._end - self._stream.tell())))

    def _whole_bytes(self) -> int:
        size = self._stream.seek(0, 2)
        at = _MAGIC_BYTES
        while at + _RECORD_HEAD.size <= size:
            self._stream.seek(at)
            opcode, length = _RECORD_HEAD.unpack(self._stream.read(_RECORD_HEAD.size))
            after = at + _RECORD_HEAD.size + length
            if after > size:
                return at
            at = after
            if opcode == Opcode.DATA_END:
                break  # the index is of no use here
        return min(at, size)
