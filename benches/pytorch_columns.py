#!/usr/bin/env python3
"""The same NADE over columns in PyTorch, to be timed beside `cargo bench --bench column_nade_step`.

    pip install torch numpy
    python benches/pytorch_columns.py [THREADS]       # 2 threads by default

Prints the median, fastest and slowest of 15 runs for a training step (clipping and Adam included) and for evaluating a
batch, of versions written for speed:

  padded   the recurrence by one cumulative sum of what each column adds to the hidden units (rows of W by index for
           labels), the outputs by one batched product for the numbers and one product for each category; all mixtures
           at once, each category by F.cross_entropy
  compiled the same under torch.compile, where that works

Batch 500; 10 numbers on a grid and 4 real ones under 8 components, categories of 3, 20, 200, 2, 2 and 364 labels; 100
hidden units, float32.
"""
import math
import statistics
import sys
import time

import torch
import torch.nn.functional as F

BATCH, HIDDEN, COMPONENTS = 500, 100, 8
GRIDS, REALS, LABELS = 10, 4, [3, 20, 200, 2, 2, 364]
NUMBERS = GRIDS + REALS
COLUMNS = NUMBERS + len(LABELS)
HALF, FLOOR, SHARE = 0.05, 0.01, 1e-3


class ColumnNade(torch.nn.Module):
    def __init__(self):
        super().__init__()
        draw = lambda *shape: torch.nn.Parameter(torch.randn(*shape) * 0.01)
        self.w = draw(NUMBERS, HIDDEN)
        self.labels = draw(sum(LABELS), HIDDEN)
        self.c = draw(HIDDEN)
        self.rho = torch.nn.Parameter(1 / torch.arange(1.0, COLUMNS + 1).sqrt())
        self.v = draw(NUMBERS, HIDDEN, 3 * COMPONENTS)
        self.b = torch.nn.Parameter(torch.zeros(NUMBERS, 1, 3 * COMPONENTS))
        self.heads = torch.nn.ModuleList(torch.nn.Linear(HIDDEN, m) for m in LABELS)
        starts = torch.tensor([sum(LABELS[:k]) for k in range(len(LABELS))])
        self.register_buffer("starts", starts)

    def forward(self, z, labels):
        """log p of each row; z is [batch, numbers], labels [batch, categories]."""
        numbers = torch.asinh(z).unsqueeze(2) * self.w  # [batch, numbers, hidden]
        rows = F.embedding(labels + self.starts, self.labels)  # [batch, categories, hidden]
        adds = torch.cat([numbers, rows[:, :-1]], 1)  # nothing is after the last column
        first = self.c.expand(z.shape[0], 1, HIDDEN)
        a = torch.cat([first, adds], 1).cumsum(1)
        h = torch.relu(a * self.rho[:, None])
        out = torch.baddbmm(self.b, h[:, :NUMBERS].transpose(0, 1), self.v)  # [numbers, batch, 3K]
        return self.mixtures(out, z.t()) + self.categories(h, labels)

    def mixtures(self, out, z):
        logits, means, log_scales = out.chunk(3, 2)
        scales = log_scales.exp() + FLOOR
        u = (z.unsqueeze(2) - means) / scales
        d = 2 * HALF / scales[:GRIDS]
        grid, real = u[:GRIDS], u[GRIDS:]
        cells = F.logsigmoid(grid + 0.5 * d) + F.logsigmoid(0.5 * d - grid) + torch.log(-torch.expm1(-d))
        density = -0.5 * real * real - torch.log(scales[GRIDS:]) - 0.5 * math.log(2 * math.pi)
        each = torch.cat([cells, density], 0)
        joint = torch.logsumexp(logits + each, 2) - torch.logsumexp(logits, 2)
        return joint.sum(0) + NUMBERS * math.log1p(-SHARE)

    def categories(self, h, labels):
        nll = 0
        for k, head in enumerate(self.heads):
            logits = head(h[:, NUMBERS + k])
            nll = nll + F.cross_entropy(logits, labels[:, k], reduction="none")
        return len(LABELS) * math.log1p(-SHARE) - nll


def report(name, run, warm_up=5, repeats=15):
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    print(f"{name:28} median {median:8.2f} ms   {min(times):8.2f} to {max(times):8.2f}", flush=True)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.manual_seed(0)
    print("torch", torch.__version__, "threads", torch.get_num_threads())
    z = torch.randn(BATCH, NUMBERS)
    labels = torch.stack([torch.randint(m, (BATCH,)) for m in LABELS], 1)
    model = ColumnNade()
    parameters = list(model.parameters())
    adam = torch.optim.Adam(parameters, lr=2e-3, fused=True)
    for name, run in [("padded", model), ("compiled", torch.compile(model))]:

        def step():
            adam.zero_grad(set_to_none=True)
            loss = -run(z, labels).mean()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 5.0)
            adam.step()

        @torch.no_grad()
        def evaluate():
            return run(z, labels)

        try:
            report(f"{name} training step", step)
            report(f"{name} evaluation", evaluate)
        except Exception as error:  # torch.compile needs a compiler of C++
            print(f"{name}: {type(error).__name__}")


if __name__ == "__main__":
    main()
