"""Costs of one 4 x 4 image under tabular models fitted to six, in exact fractions.

Run `python3 golden.py > golden.txt`; `joint.rs` includes the result.
"""

from fractions import Fraction
from math import log

IMAGES = [
    "0110 1001 1001 0110",
    "0100 1100 0100 1110",
    "1110 0010 0100 1111",
    "1110 0110 0010 1110",
    "1010 1111 0010 0010",
    "1111 1100 0011 1110",
]
TEST = "0110 1001 0110 1110"
FOUR = [(0, -1), (-1, -1), (-1, 0), (-1, 1)]
TEN = FOUR + [(0, -2), (-2, 0), (-1, -2), (-1, 2), (-2, -1), (-2, 1)]


def pixels(image):
    return [int(c) for c in image if c in "01"]


def cost(context):
    """context(x, i): what pixel i of image x is conditioned on."""
    test, total = pixels(TEST), 0.0
    for i in range(16):
        alike = [x for x in map(pixels, IMAGES) if context(x, i) == context(test, i)]
        hits = sum(x[i] == test[i] for x in alike)
        total -= log(Fraction(hits + 1, len(alike) + 2))
    return total


def chain(order):
    return lambda x, i: x[max(0, i - order) : i]


def image(offsets):
    def at(x, r, c):
        return x[4 * r + c] if 0 <= r < 4 and 0 <= c < 4 else 0

    return lambda x, i: [at(x, i // 4 + dr, i % 4 + dc) for dr, dc in offsets]


print([cost(c) for c in (chain(0), chain(1), chain(3), image(FOUR), image(TEN))])
