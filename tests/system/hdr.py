# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads HdrHistogram interval logs (V2, compressed), as `taut export --hlog` writes them."""
import base64
import struct
import zlib


def _zigzag(data):
    """Variable-length integers: seven bits a byte, the ninth byte whole."""
    at = 0
    while at < len(data):
        value = shift = 0
        for i in range(9):
            byte = data[at]
            at += 1
            value |= (byte if i == 8 else byte & 0x7f) << shift
            shift += 7
            if not byte & 0x80:
                break
        yield (value >> 1) ^ -(value & 1)


class Histogram:
    def __init__(self, text):
        packed = base64.b64decode(text)
        cookie, length = struct.unpack(">II", packed[:8])
        assert cookie & ~0xf0 == 0x1c849304, hex(cookie)
        plain = zlib.decompress(packed[8:8 + length])
        cookie, size, _, digits, _, _, _ = struct.unpack(">IIIIqqd", plain[:40])
        assert cookie & ~0xf0 == 0x1c849303, hex(cookie)
        largest = 2 * 10 ** digits
        magnitude = (largest - 1).bit_length()
        self.half = 1 << (magnitude - 1)
        self.half_bits = magnitude - 1
        self.counts = {}
        index = 0
        for n in _zigzag(plain[40:40 + size]):
            if n < 0:
                index += -n
                continue
            if n:
                self.counts[index] = n
            index += 1
        self.total = sum(self.counts.values())

    def value(self, index):
        """The middle of the bin."""
        bucket = (index >> self.half_bits) - 1
        sub = (index & (self.half - 1)) + self.half
        if bucket < 0:
            return sub - self.half
        return (sub << bucket) + ((1 << bucket) >> 1)

    def quantile(self, q):
        rank, seen = q * self.total, 0
        for index in sorted(self.counts):
            seen += self.counts[index]
            if seen >= rank:
                return self.value(index)
        raise ValueError("empty")


def read_log(text):
    """Tag → list of histograms."""
    found = {}
    for line in text.splitlines():
        if line.startswith("Tag="):
            tag, _, _, _, histogram = line[4:].split(",")
            found.setdefault(tag, []).append(Histogram(histogram))
    return found
