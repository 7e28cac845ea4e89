"""What was written can be read, whatever ends the writing: Ctrl-C, a full disk, SIGKILL."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from mcap.reader import make_reader
from rclpy.serialization import serialize_message
from std_msgs.msg import String

from vls_steering.core.errors import ConfigurationError, VlsError
from vls_steering.nodes import topics
from vls_steering.nodes.mcap_file import CHUNK_BYTES, McapFile
from vls_steering.nodes.mcap_log import read_log

pytestmark = pytest.mark.ros


def text(number: int) -> str:
    """4 kB that compress to little less."""
    return f"{number:06} " + "".join(str(hash((number, i))) for i in range(210))


def add(file: McapFile, number: int) -> None:
    file.add("/steering/journal", String, number, serialize_message(String(data=text(number))))


def fill(path: Path, count: int, added: list[int] | None = None) -> None:
    with McapFile(path) as file:
        for number in range(count):
            add(file, number)
            if added is not None:
                added.append(number)


def numbers(path: Path) -> list[int]:
    """As our own reader sees them."""
    messages = [logged.message(topics.STEERING_JOURNAL).data for logged in read_log(path)]
    assert all(message == text(int(message[:6])) for message in messages)
    return [int(message[:6]) for message in messages]


def numbers_of_mcap(path: Path) -> list[int]:
    """As the format's own library does, which wants an end."""
    with path.open("rb") as stream:
        return [message.log_time for _, _, message in make_reader(stream).iter_messages()]


def numbers_of_rosbags(path: Path) -> list[int]:
    reader = pytest.importorskip("rosbags.highlevel").AnyReader
    with reader([path]) as bag:
        return [int(bag.deserialize(data, connection.msgtype).data[:6]) for connection, _, data in bag.messages()]


A_CHUNK = 1.1 * CHUNK_BYTES / len(text(0)) + 1  # messages


@contextmanager
def room_for(size_bytes: int) -> Iterator[None]:
    """As on a disk that is full after so much."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_others_read_what_was_written(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    with McapFile(path, {"host": "lab"}) as file:
        for number in range(100):
            add(file, number)
    assert numbers(path) == numbers_of_mcap(path) == numbers_of_rosbags(path) == list(range(100))
    with path.open("rb") as stream:
        reader = make_reader(stream)
        assert [record.metadata for record in reader.iter_metadata()] == [{"host": "lab"}]
        summary = reader.get_summary()
    assert summary is not None
    assert len(summary.chunk_indexes) > 1


def test_an_empty_file_is_valid(tmp_path: Path) -> None:
    McapFile(tmp_path / "log.mcap").close()
    assert numbers(tmp_path / "log.mcap") == numbers_of_mcap(tmp_path / "log.mcap") == []


@pytest.mark.parametrize("room", [60_000, 150_000, 151_000, 300_000])
def test_a_full_disk_keeps_what_was_written(tmp_path: Path, room: int) -> None:
    path, added = tmp_path / "log.mcap", list[int]()
    with room_for(room), pytest.raises(VlsError, match=r"log.mcap takes no more: .* can be read"):
        fill(path, 200, added)
    kept = numbers(path)
    assert kept == numbers_of_mcap(path) == numbers_of_rosbags(path) == list(range(len(kept)))
    assert len(kept) >= len(added) - A_CHUNK


@pytest.mark.parametrize("lacking", [5, 50, 500])
def test_no_room_for_the_index_costs_no_message(tmp_path: Path, lacking: int) -> None:
    fill(tmp_path / "whole.mcap", 100)
    path, size = tmp_path / "log.mcap", (tmp_path / "whole.mcap").stat().st_size
    with room_for(size - lacking), pytest.raises(VlsError, match="takes no more"):
        fill(path, 100)
    assert numbers(path) == numbers_of_mcap(path) == numbers_of_rosbags(path) == list(range(100))


def test_a_place_that_cannot_be_written_is_named_at_once(tmp_path: Path) -> None:
    (tmp_path / "old.mcap").write_bytes(b"precious")
    with pytest.raises(ConfigurationError, match="exists"):
        McapFile(tmp_path / "old.mcap")
    assert (tmp_path / "old.mcap").read_bytes() == b"precious"
    with pytest.raises(ConfigurationError, match=r"cannot write .*old.mcap/log.mcap"):
        McapFile(tmp_path / "old.mcap" / "log.mcap")
    with pytest.raises(ConfigurationError, match="cannot write"):
        McapFile(Path("/proc/log.mcap"))


KILLED = """
import os, signal, sys
sys.path.insert(0, {here!r})
from pathlib import Path
from nodes.test_mcap_file import McapFile, add
file = McapFile(Path({path!r}))
for number in range(100):
    add(file, number)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_killed_process_loses_its_last_chunk_and_no_more(tmp_path: Path) -> None:
    path = tmp_path / "log.mcap"
    here = str(Path(__file__).resolve().parents[1])
    code = KILLED.format(here=here, path=str(path))
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    kept = numbers(path)
    assert kept == list(range(len(kept)))
    assert 100 - len(kept) <= A_CHUNK


@pytest.mark.parametrize("lost", [1, 9, 300, 30_000])
def test_a_file_that_was_cut_is_read_up_to_the_cut(tmp_path: Path, lost: int) -> None:
    path = tmp_path / "log.mcap"
    fill(path, 100)
    path.write_bytes(path.read_bytes()[:-lost])
    kept = numbers(path)
    assert kept == list(range(len(kept)))
    assert len(kept) == 100 if lost < 300 else 50 < len(kept) <= 100
