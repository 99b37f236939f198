"""Compressed bytes of a batch, unpacked to a bounded size.

The broker limits the compressed size only, and half a megabyte of it may stand for gigabytes. So no codec is
asked for everything that it can make of its input: each stops at the limit, and keeps what came before it.
"""

import gzip
import io
import struct
import zlib
from dataclasses import dataclass
from typing import Final

import cramjam

UNPACK_LIMIT: Final = 16 * 1024 * 1024
"""Bytes to which a batch is unpacked at most. Ordinary records compress to a fifth or a tenth, so what
clients put into the 1 MiB that a topic takes stays below it."""
_GUESSED_RATIO: Final = 8
_XERIAL_MAGIC: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_FULL: Final = "failed to write whole buffer"
"""How cramjam says that the buffer it was given is full."""

GZIP, SNAPPY, LZ4, ZSTD = 1, 2, 3, 4
"""Codecs, as a batch's attributes name them."""


@dataclass(frozen=True, slots=True)
class Unpacked:
    """The unpacked bytes of a batch, or those before the limit."""

    data: bytes | bytearray
    missing: str = ""
    """Why what follows `data` is missing; empty if nothing is."""


def unpack(codec: int, packed: bytes | memoryview, limit: int = UNPACK_LIMIT) -> Unpacked:
    """Unpack a batch's records to at most `limit` bytes."""
    try:
        if codec == GZIP:
            return _bounded(gzip.GzipFile(fileobj=io.BytesIO(packed)).read(limit + 1), limit)
        if codec == SNAPPY:
            return _unpack_snappy(bytes(packed), limit)
        if codec in (LZ4, ZSTD):
            return _unpack_frames(codec, bytes(packed), limit)
    except (cramjam.DecompressionError, OSError, EOFError, zlib.error, struct.error) as error:
        return Unpacked(b"", f"cannot be unpacked: {error}")
    return Unpacked(b"", f"cannot be unpacked: no codec has the number {codec}")


def _bounded(data: bytes | bytearray, limit: int) -> Unpacked:
    if len(data) <= limit:
        return Unpacked(data)
    return Unpacked(data[:limit], f"unpack to more than {limit} bytes")


def _unpack_frames(codec: int, packed: bytes, limit: int) -> Unpacked:
    """LZ4 or zstd, into a buffer of the size that is usual, else into one of the largest size."""
    decompress_into = cramjam.lz4.decompress_into if codec == LZ4 else cramjam.zstd.decompress_into
    guess = max(64 * 1024, _GUESSED_RATIO * len(packed))
    for size in sorted({min(guess, limit + 1), limit + 1}):
        buffer = bytearray(size)
        try:
            length = decompress_into(packed, buffer)
        except cramjam.DecompressionError as error:
            if _FULL not in str(error):
                raise
        else:
            del buffer[length:]
            return _bounded(buffer, limit)
    return _bounded(buffer, limit)


def _unpack_snappy(packed: bytes, limit: int) -> Unpacked:
    """Snappy, in one piece or in blocks as Java's clients frame it. Each block says how long it becomes."""
    if not packed.startswith(_XERIAL_MAGIC):
        blocks = [packed]
    else:
        blocks, position = [], _XERIAL_HEADER_BYTES
        while position < len(packed):
            (length,) = struct.unpack_from(">i", packed, position)
            if length < 0:
                raise struct.error("a block of snappy has a negative length")
            blocks.append(packed[position + 4 : position + 4 + length])
            position += 4 + length
    data = bytearray()
    for block in blocks:
        if len(data) + cramjam.snappy.decompress_raw_len(block) > limit:
            return Unpacked(data, f"unpack to more than {limit} bytes")
        data += bytes(cramjam.snappy.decompress_raw(block))
    return Unpacked(data)
