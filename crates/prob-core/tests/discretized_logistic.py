"""Log-masses of intervals under a logistic distribution and their slopes, to 400 digits.

Run `python3 discretized_logistic.py > discretized_logistic.txt` (needs mpmath);
`src/dist/discretized_logistic.rs` includes the result. Plain definitions throughout: the interval is
only mirrored to the left, where a difference of sigmoids does not cancel.
"""

from math import inf, log

from mpmath import exp, inf as INF, log as ln, mp, mpf

mp.dps = 400


def sigmoid(z):
    return mpf(0) if z == -INF else mpf(1) if z == INF else 1 / (1 + exp(-z))


def slope(z):
    return mpf(0) if abs(z) == INF else sigmoid(z) * sigmoid(-z)


def times(z, f):
    return mpf(0) if abs(z) == INF else z * f


def golden(offset, below, above, log_scale):
    scale = exp(mpf(log_scale))
    a, b = (mpf(offset) - mpf(below)) / scale, (mpf(offset) + mpf(above)) / scale
    mirrored = a + b > 0
    if mirrored:
        a, b = -b, -a
    mass = sigmoid(b) - sigmoid(a)
    by_mean = -(slope(b) - slope(a)) / mass / scale
    by_log_scale = -(times(b, slope(b)) - times(a, slope(a))) / mass
    return float(ln(mass)), float(-by_mean if mirrored else by_mean), float(by_log_scale)


def rust(x):
    return "INF" if x == inf else repr(x)


print("[")
for scale in (1e-12, 1e-3, 0.3, 7.0, 1e12):
    for offset in (0.0, 0.25, 0.5, -0.75, 3.0, -40.0, 1e9, 1e9 * scale, -30 * scale):
        for below, above in ((0.5, 0.5), (inf, 0.5), (0.5, inf), (0.5, 99.5)):
            row = (offset, below, above, log(scale))
            print(f"({', '.join(map(rust, row + golden(*row)))}),")
print("]")
