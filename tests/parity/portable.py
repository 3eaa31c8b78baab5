"""Random numbers with the same bits on every machine, drawn from a text that names them.

The bits are those of SHAKE-128 (FIPS 202) of the text. Everything after that is integer arithmetic, or one
correctly rounded operation of IEEE 754 at a time. The generators of PyTorch and NumPy compute normal numbers
by logarithms and cosines, whose last bits depend on the processor and on the version of the library.
"""
import hashlib

import torch


def draw_bytes(key, count):
    return bytearray(hashlib.shake_128(key.encode()).digest(count))


def normal(key, *shape):
    """f64 numbers of mean 0 and variance 1, multiples of 2^-17 between -6 and 6, which f32 holds exactly.

    Each is the sum of twelve uniform numbers between -1/2 and 1/2, of variance 1/12 each (the Irwin-Hall
    distribution). The sums are exact, and their distribution is nearly normal.
    """
    count = torch.Size(shape).numel()
    parts = torch.frombuffer(draw_bytes(key, 24 * count), dtype=torch.int16).reshape(count, 12)
    return ((2 * parts.long() + 1).sum(1).double() / 2**17).reshape(shape)


def signs(key, *shape):
    """f64 numbers, each 1 or -1."""
    octets = torch.frombuffer(draw_bytes(key, torch.Size(shape).numel()), dtype=torch.uint8)
    return (2 * (octets & 1).double() - 1).reshape(shape)


class Draws:
    """Whole numbers, one after the other."""

    def __init__(self, key):
        self.key, self.count = key, 0

    def whole(self, first, last):
        """Uniform over first, …, last."""
        self.count += 1
        number = int.from_bytes(draw_bytes(f"{self.key}.{self.count}", 8), "little")
        return first + (number * (last - first + 1) >> 64)

    def choice(self, values):
        return values[self.whole(0, len(values) - 1)]
