#!/usr/bin/env python3
"""The same NADE in PyTorch, to be timed beside `cargo bench --bench nade_step` and `nade_sample`.

    pip install torch numpy
    python benches/pytorch_nade.py [THREADS]          # 2 threads by default

Prints the median, fastest and slowest of seven runs for a training step (Adam included) of two
versions, and of drawing a batch:

  loop    an eager loop over the positions that autograd records, as NADE is usually written
  manual  a hand-written backward pass, O(batch * hidden) memory: the fastest we know of

Batch 100, 784 positions, 500 hidden units, float32, 13 % ones in the data.
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

BATCH, DIM, HIDDEN = 100, 784, 500


class Loop(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.randn(DIM, HIDDEN) * 0.05)
        self.v = torch.nn.Parameter(torch.randn(DIM, HIDDEN) * 0.05)
        self.b = torch.nn.Parameter(torch.zeros(DIM))
        self.c = torch.nn.Parameter(torch.zeros(HIDDEN))

    def logits(self, x):
        a, out = self.c.expand(x.shape[0], -1), []
        for t in range(DIM):
            out.append(torch.sigmoid(a) @ self.v[t])
            a = a + x[:, t : t + 1] * self.w[t]
        return torch.stack(out, 1) + self.b

    @torch.no_grad()
    def sample(self, n):
        a, x = self.c.expand(n, -1).clone(), torch.empty(n, DIM)
        for t in range(DIM):
            x_t = torch.bernoulli(torch.sigmoid(torch.sigmoid(a) @ self.v[t] + self.b[t]))
            x[:, t] = x_t
            a.addr_(x_t, self.w[t])
        return x


class Recurrence(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w, v, c):
        a, by_position = c.expand(x.shape[0], -1).clone(), x.t().contiguous()
        out, h = torch.empty(DIM, x.shape[0]), torch.empty_like(a)
        for t in range(DIM):
            torch.sigmoid(a, out=h)
            torch.mv(h, v[t], out=out[t])
            a.addr_(by_position[t], w[t])
        ctx.save_for_backward(by_position, w, v, a)
        return out.t()

    @staticmethod
    def backward(ctx, grad):
        x, w, v, a = ctx.saved_tensors
        a, grad = a.clone(), grad.t().contiguous()
        dw, dv, da = torch.empty_like(w), torch.empty_like(v), torch.zeros_like(a)
        h, slope = torch.empty_like(a), torch.empty_like(a)
        for t in reversed(range(DIM)):
            torch.mv(da.t(), x[t], out=dw[t])
            a.addr_(x[t], w[t], alpha=-1)
            torch.sigmoid(a, out=h)
            torch.mv(h.t(), grad[t], out=dv[t])
            torch.outer(grad[t], v[t], out=slope)
            slope.mul_(h).mul_(h.neg_().add_(1))
            da.add_(slope)
        return None, dw, dv, da.sum(0)


class Manual(Loop):
    def logits(self, x):
        return Recurrence.apply(x, self.w, self.v, self.c) + self.b


def report(name, run, warm_up=2, repeats=7):
    for _ in range(warm_up):
        run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    print(f"{name:22} median {median:8.2f} ms   {min(times):8.2f} to {max(times):8.2f}", flush=True)


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.manual_seed(0)
    print("torch", torch.__version__, "threads", torch.get_num_threads())
    x = (torch.rand(BATCH, DIM) < 0.13).float()
    for name, model in [("manual", Manual()), ("loop", Loop())]:
        adam = torch.optim.Adam(model.parameters(), lr=1e-3)

        def step():
            adam.zero_grad(set_to_none=True)
            loss = F.binary_cross_entropy_with_logits(model.logits(x), x, reduction="sum") / BATCH
            loss.backward()
            adam.step()

        report(f"{name} training step", step)
    model = Manual()
    report(f"drawing {BATCH} images", lambda: model.sample(BATCH))


if __name__ == "__main__":
    main()
