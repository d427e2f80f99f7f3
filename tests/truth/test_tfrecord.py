"""Record files are read whole or refused at the place where they are damaged."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from made_up101 import crc, frame

from nasbench_eval.errors import UsageError
from nasbench_eval.truth.errors import TruthError
from nasbench_eval.truth.tfrecord import masked_crc32c, records

CONTENTS = [b"first", b"", b"third" * 1000]
FILE = b"".join(map(frame, CONTENTS))
SECOND, THIRD = len(frame(CONTENTS[0])), len(frame(CONTENTS[0]) + frame(CONTENTS[1]))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "file.tfrecord"
    path.write_bytes(FILE)
    return path


def refused(path: Path, data: bytes, *words: str, good: int) -> None:
    path.write_bytes(data)
    found = []
    with pytest.raises(TruthError) as caught:
        found.extend(record.number for record in records(path))
    assert found == list(range(1, good + 1))
    message = str(caught.value)
    assert message.startswith(str(path))
    assert all(word in message for word in (*words, "get the file again")), message


def test_the_checksum() -> None:
    # RFC 3720, appendix B.4: CRC-32C of 32 zero bytes is 0x8A9136AA.
    rotated = (0x8A9136AA >> 15 | 0x8A9136AA << 17) & 0xFFFFFFFF
    assert masked_crc32c(bytes(32)) == (rotated + 0xA282EAD8) % 2**32
    assert masked_crc32c(b"some bytes") == crc(b"some bytes")


def test_records_and_their_places(path: Path) -> None:
    found = list(records(path))
    assert [record.data for record in found] == CONTENTS
    assert [record.number for record in found] == [1, 2, 3]
    assert [record.offset for record in found] == [0, SECOND, THIRD]
    assert sum(record.size for record in found) == len(FILE)
    assert str(found[1]) == f"record 2 at byte {SECOND}"
    path.write_bytes(b"")
    assert list(records(path)) == []


def flipped(place: int) -> bytes:
    return FILE[:place] + bytes([FILE[place] ^ 1]) + FILE[place + 1 :]


def test_every_damaged_byte_is_found(path: Path) -> None:
    for place in range(THIRD + 30):
        good = (place >= SECOND) + (place >= THIRD)
        begin = (0, SECOND, THIRD)[good]
        kind = "length" if place - begin < 12 else "data"
        where = f"record {good + 1} at byte {begin} has {'a length' if kind == 'length' else kind}"
        refused(path, flipped(place), where, "wrong checksum", good=good)


def test_what_is_no_record_file(path: Path) -> None:
    refused(path, b"<!DOCTYPE html><html>", "record 1 at byte 0", "or no TFRecord file", good=0)
    refused(path, b"PAR1", "record 1 at byte 0", "ends within its header", good=0)


@pytest.mark.parametrize("kept", range(1, len(frame(CONTENTS[0]))))
def test_truncated_files(path: Path, kept: int) -> None:
    word = "within its header" if kept < 12 else "before its 5 bytes of data and their checksum"
    refused(path, FILE[:kept], "record 1 at byte 0", word, "truncated", good=0)
    refused(path, frame(b"another") + FILE[:kept], "record 2 at byte 23", word, "truncated", good=1)


def test_a_length_does_not_fill_the_memory(path: Path) -> None:
    length = struct.pack("<Q", 1 << 62)
    data = length + struct.pack("<I", crc(length)) + b"little"
    refused(path, data, f"before its {1 << 62} bytes of data", "truncated", good=0)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read .*nowhere"):
        list(records(tmp_path / "nowhere"))
