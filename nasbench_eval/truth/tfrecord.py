"""Reads TensorFlow's record files without TensorFlow, one record at a time.

A record is the length of its data (8 bytes, little-endian), a checksum of the length (4), the data, and a
checksum of the data (4).  The checksum is a CRC-32C, rotated and shifted by a constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import google_crc32c

from nasbench_eval.errors import UsageError
from nasbench_eval.truth.errors import TruthError

_LENGTH = struct.Struct("<Q")
_CRC = struct.Struct("<I")
_HEADER = struct.Struct("<QI")
_BUFFER = 1 << 20
_AGAIN = "get the file again"


class Record(NamedTuple):
    """One record.

    Attributes:
        number: its place in the file, from 1.
        offset: its first byte in the file.
        data: what it holds.
    """

    number: int
    offset: int
    data: bytes

    @property
    def size(self) -> int:
        """Bytes it takes in the file."""
        return _HEADER.size + len(self.data) + _CRC.size

    def __str__(self) -> str:
        return f"record {self.number} at byte {self.offset}"


def masked_crc32c(data: bytes) -> int:
    """The checksum that stands in record files."""
    crc: int = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def records(path: Path) -> Iterator[Record]:
    """The records of a file, in its order; never more than one in memory.

    Raises:
        UsageError: if the file cannot be read.
        TruthError: at the first record that is damaged or ends early; its place, and the rule it breaks.
    """
    try:
        with path.open("rb", buffering=_BUFFER) as file:
            left = path.stat().st_size
            number, offset = 1, 0
            while header := file.read(_HEADER.size):
                place = f"{path}: record {number} at byte {offset}"
                if len(header) < _HEADER.size:
                    raise TruthError(f"{place} ends within its header: the file is truncated; {_AGAIN}")
                length, length_crc = _HEADER.unpack(header)
                if masked_crc32c(header[: _LENGTH.size]) != length_crc:
                    kind = "the file is damaged" if offset else "the file is damaged or no TFRecord file"
                    raise TruthError(f"{place} has a length with a wrong checksum: {kind}; {_AGAIN}")
                left -= _HEADER.size + length + _CRC.size
                # Asked before it is read, so that no length can fill the memory.
                if left < 0 or len(body := file.read(length + _CRC.size)) < length + _CRC.size:
                    raise TruthError(
                        f"{place} ends before its {length} bytes of data and their checksum do: the file is "
                        f"truncated; {_AGAIN}"
                    )
                data = body[:length]
                if masked_crc32c(data) != _CRC.unpack(body[length:])[0]:
                    raise TruthError(f"{place} has data with a wrong checksum: the file is damaged; {_AGAIN}")
                record = Record(number, offset, data)
                yield record
                number, offset = number + 1, offset + record.size
    except OSError as error:
        raise UsageError(f"cannot read {path} ({error.strerror or error})") from error
