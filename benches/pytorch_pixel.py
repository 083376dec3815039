#!/usr/bin/env python3
"""PixelRNN and PixelCNN in PyTorch, to be timed beside `cargo bench --bench pixel_step` and `pixel_sample`.

    pip install torch numpy
    python benches/pytorch_pixel.py row7x16 train [THREADS]       # 2 threads by default
    python benches/pytorch_pixel.py diag7x16 sample
    python benches/pytorch_pixel.py check                         # sums to one, sees nothing later

NETWORK is row (Row LSTM), diag (Diagonal BiLSTM) or cnn (PixelCNN) with LAYERSxHIDDEN.

  train    forward, backward and Adam, batch 100
  sample   16 images by a full pass for every pixel: 24 of the 784 passes are timed, and scaled

Prints the median, fastest and slowest of some runs, and the peak memory of the process: `before` is how
much of it the interpreter and the library had taken. 28x28 bits, float32, 13 % ones in the data.

The networks have the layers, the sizes and the number of weights of ours. Diagonals are skewed as the
paper does it, so there are cells outside the image; ours leaves them out. The states are kept with the
channels last, and the steps are taken from the map by `unbind`: with `conv1d` and `z[..., t]`, as it is
usually written, autograd clears a whole map in every step.
"""
import os
import re
import resource
import statistics
import sys
import time

THREADS = sys.argv[3] if len(sys.argv) > 3 else "2"
os.environ.setdefault("OMP_NUM_THREADS", THREADS)

import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402

BATCH, IMAGES, SIDE, HEAD, PASSES = 100, 16, 28, 32, 24


class Masked(nn.Conv2d):
    """A convolution that sees pixels before its own in raster order, and with mask B its own."""

    def __init__(self, kind, inputs, outputs, height, width):
        super().__init__(inputs, outputs, (height, width), padding=(height // 2, width // 2))
        mask = torch.ones(height, width)
        mask[height // 2, width // 2 + (kind == "B") :] = 0
        mask[height // 2 + 1 :] = 0
        self.register_buffer("mask", mask)

    def forward(self, x):
        return F.conv2d(x, self.weight * self.mask, self.bias, padding=self.padding)


class Lstm(nn.Module):
    """Walks a map `[batch, 4 hidden, steps, cells]` of gate inputs; `before` gathers a step's states."""

    def __init__(self, hidden, taps):
        super().__init__()
        bound = (taps * hidden) ** -0.5
        self.k_ss = nn.Parameter(torch.empty(taps * hidden, 4 * hidden).uniform_(-bound, bound))
        self.initial = nn.Parameter(torch.zeros(2, hidden))

    def walk(self, z, before):
        z = z.permute(2, 0, 3, 1).contiguous()  # [steps, batch, cells, 4 hidden]
        _, batch, cells, _ = z.shape
        h, c = (state.expand(batch, cells, -1) for state in self.initial)
        out = []
        for step in z.unbind(0):
            o, f, i, g = (step + before(h) @ self.k_ss).chunk(4, -1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            out.append(h)
        return torch.stack(out, 0).permute(1, 3, 0, 2)  # [batch, hidden, steps, cells]


class RowLstm(Lstm):
    def __init__(self, channels, hidden):
        super().__init__(hidden, 3)
        self.k_is = Masked("B", channels, 4 * hidden, 1, 3)

    def forward(self, x):
        def before(h):
            above = F.pad(h, (0, 0, 1, 1))
            return torch.cat([above[:, :-2], above[:, 1:-1], above[:, 2:]], 2)

        return self.walk(self.k_is(x), before)


def skew(x):
    """Row r moved right by r: `[batch, channels, height, width + height - 1]`."""
    batch, channels, height, width = x.shape
    columns = width + height - 1
    flat = F.pad(x, (0, height)).reshape(batch, channels, -1)[:, :, : height * columns]
    return flat.reshape(batch, channels, height, columns)


def unskew(x, width):
    batch, channels, height, columns = x.shape
    flat = F.pad(x.reshape(batch, channels, -1), (0, height))
    return flat.reshape(batch, channels, height, columns + 1)[..., :width]


class DiagonalLstm(Lstm):
    def __init__(self, channels, hidden):
        super().__init__(hidden, 2)
        self.k_is = nn.Conv2d(channels, 4 * hidden, 1)

    def forward(self, x):
        def before(h):
            return torch.cat([F.pad(h, (0, 0, 1, 0))[:, :-1], h], 2)  # the row above; the same row

        z = skew(self.k_is(x)).transpose(2, 3)  # a step is a column of the skewed map
        return unskew(self.walk(z, before).transpose(2, 3), x.shape[3])


class DiagonalBilstm(nn.Module):
    def __init__(self, channels, hidden):
        super().__init__()
        self.left = DiagonalLstm(channels, hidden)
        self.right = DiagonalLstm(channels, hidden)

    def forward(self, x):
        right = self.right(x.flip(3)).flip(3)
        return self.left(x) + F.pad(right[:, :, :-1], (0, 0, 1, 0))  # enters one row lower


def layer(kind, hidden):
    """From 2 hidden maps to 2 hidden maps, to be added to its input."""
    channels = 2 * hidden
    if kind == "cnn":
        return nn.Sequential(
            nn.ReLU(), nn.Conv2d(channels, hidden, 1),
            nn.ReLU(), Masked("B", hidden, hidden, 3, 3),
            nn.ReLU(), nn.Conv2d(hidden, channels, 1),
        )  # fmt: skip
    lstm = {"row": RowLstm, "diag": DiagonalBilstm}[kind]
    return nn.Sequential(lstm(channels, hidden), nn.Conv2d(hidden, channels, 1))


class Pixel(nn.Module):
    def __init__(self, kind, layers, hidden):
        super().__init__()
        self.input = Masked("A", 1, 2 * hidden, 7, 7)
        self.layers = nn.ModuleList(layer(kind, hidden) for _ in range(layers))
        self.head = nn.Sequential(
            nn.ReLU(), nn.Conv2d(2 * hidden, HEAD, 1), nn.ReLU(), nn.Conv2d(HEAD, 1, 1)
        )

    def forward(self, x):
        y = self.input(x)
        for layer in self.layers:
            y = y + layer(y)
        return self.head(y)

    @torch.no_grad()
    def sample(self, n, pixels=SIDE * SIDE):
        x = torch.zeros(n, 1, SIDE, SIDE)
        for pixel in range(pixels):
            row, column = divmod(pixel, SIDE)
            x[:, 0, row, column] = torch.bernoulli(torch.sigmoid(self(x)[:, 0, row, column]))
        return x

    def free_parameters(self):
        masked = sum(
            int((m.mask == 0).sum()) * m.in_channels * m.out_channels
            for m in self.modules()
            if isinstance(m, Masked)
        )
        return sum(p.numel() for p in self.parameters()) - masked


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def report(name, run, images, scale, warm_up, repeats, note=""):
    before = megabytes()
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * scale)
    median = statistics.median(times)
    print(
        f"{name:22} median {median * 1e3:10.1f} ms   {min(times) * 1e3:.1f} to {max(times) * 1e3:.1f}"
        f"   {images / median:.3g} images/s   peak {megabytes():.0f} MB (before {before:.0f}){note}",
        flush=True,
    )


def check():
    """The mass of all 3x4 images is 1, and no logit has a derivative by its pixel or a later one."""
    torch.set_default_dtype(torch.float64)
    bits = torch.arange(4096)[:, None] >> torch.arange(12) & 1
    images = bits.double().reshape(-1, 1, 3, 4)
    for kind in ("row", "diag", "cnn"):
        model = Pixel(kind, 2, 3)
        for weights in model.parameters():
            nn.init.normal_(weights, std=0.5)
        with torch.no_grad():
            cost = F.binary_cross_entropy_with_logits(model(images), images, reduction="none")
        mass = (-cost.sum((1, 2, 3))).exp().sum().item()
        x = torch.rand(1, 1, 3, 4, requires_grad=True)
        logits = model(x).flatten()
        slopes = [torch.autograd.grad(l, x, retain_graph=True)[0].flatten() for l in logits]
        assert abs(mass - 1) < 1e-9, f"{kind}: the mass is {mass}"
        assert all((slope[t:] == 0).all() for t, slope in enumerate(slopes)), f"{kind} leaks"
        assert all((slope[t - 1 : t] != 0).all() for t, slope in enumerate(slopes) if t % 4), kind
        print(f"{kind}: mass {mass:.12f}, causal")


def main():
    torch.set_num_threads(int(THREADS))
    torch.manual_seed(0)
    if sys.argv[1:] == ["check"]:
        return check()
    name = re.fullmatch(r"(row|diag|cnn)(\d+)x(\d+)", sys.argv[1]) if len(sys.argv) > 2 else None
    if name is None or sys.argv[2] not in ("train", "sample"):
        sys.exit(__doc__)
    kind, layers, hidden = name[1], int(name[2]), int(name[3])
    model = Pixel(kind, layers, hidden)
    print("torch", torch.__version__, "threads", torch.get_num_threads(), end="  ")
    print(f"{name[0]}: {model.free_parameters():,} free parameters", flush=True)
    if sys.argv[2] == "sample":
        scale = SIDE * SIDE / PASSES
        note = f"   {PASSES} of {SIDE * SIDE} passes timed, scaled"
        report(f"drawing {IMAGES} images", lambda: model.sample(IMAGES, PASSES), IMAGES, scale, 1, 3, note)
        return None
    x = (torch.rand(BATCH, 1, SIDE, SIDE) < 0.13).float()
    adam = torch.optim.Adam(model.parameters(), lr=1e-3)

    def step():
        adam.zero_grad(set_to_none=True)
        loss = F.binary_cross_entropy_with_logits(model(x), x, reduction="sum") / BATCH
        loss.backward()
        adam.step()

    report("training step", step, BATCH, 1, 2, 7)
    return None


if __name__ == "__main__":
    main()
