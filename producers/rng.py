"""Keyed randomness: every draw of the world belongs to a seed, a named stream and a few integers.

Equal keys give equal generators, so that any day can be made alone, by any process, in any order.
"""

import hashlib
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_U64: Final = 0xFFFFFFFFFFFFFFFF


def generator(seed: int, stream: str, *key: int) -> np.random.Generator:
    """PCG64 seeded by (seed, CRC-32 of the stream's name, key); all integers must be ≥ 0."""
    words = [seed, zlib.crc32(stream.encode()), *key]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


def chance(*words: int | str) -> float:
    """A uniform number in [0, 1) that is a function of its words, the same in every process."""
    digest = hashlib.blake2b("/".join(map(str, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def words64(rng: np.random.Generator, count: int) -> NDArray[np.uint64]:
    """Uniform 64-bit words, the same as from `integers` but some microseconds faster a call."""
    words: NDArray[np.uint64] = rng.bit_generator.random_raw(count)
    return words


def mix64(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A bijection of 64-bit words: the finaliser of SplitMix64 (Steele, Lea and Flood, 2014)."""
    z = values + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def salt(seed: int, stream: str, *key: int) -> np.uint64:
    """One 64-bit word of a key, to mix into ids."""
    return np.uint64(generator(seed, stream, *key).integers(0, _U64, dtype=np.uint64, endpoint=True))
