"""Integer hashing: the only source of "randomness", so that message i is a function of its key."""

from __future__ import annotations

MASK = (1 << 64) - 1
_M1 = 0xBF58476D1CE4E5B9
_M2 = 0x94D049BB133111EB
_M1_INVERSE = pow(_M1, -1, 1 << 64)
_M2_INVERSE = pow(_M2, -1, 1 << 64)
GOLDEN = 0x9E3779B97F4A7C15


def mix(x: int) -> int:
    """Scramble 64 bits (the finaliser of splitmix64); `unmix` undoes it."""
    x = ((x ^ (x >> 30)) * _M1) & MASK
    x = ((x ^ (x >> 27)) * _M2) & MASK
    return x ^ (x >> 31)


def unmix(x: int) -> int:
    x = x ^ (x >> 31) ^ (x >> 62)
    x = (x * _M2_INVERSE) & MASK
    x = x ^ (x >> 27) ^ (x >> 54)
    x = (x * _M1_INVERSE) & MASK
    return x ^ (x >> 30) ^ (x >> 60)


def mix_of(*parts: int) -> int:
    """Hash a few small integers together; slower than `mix`, for what is not on the hot path."""
    h = 0
    for part in parts:
        h = mix((h + GOLDEN + part) & MASK)
    return h


def text_hash(text: str) -> int:
    h = 0
    data = text.encode()
    for start in range(0, len(data), 7):
        h = mix((h + GOLDEN + int.from_bytes(data[start : start + 7], "little")) & MASK)
    return h
