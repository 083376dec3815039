#!/usr/bin/env python3
"""The same MADE over columns in PyTorch, to be timed beside `cargo bench --bench column_made_step`.

    pip install torch numpy
    python benches/pytorch_column_made.py [THREADS]       # 2 threads by default

Prints the median, fastest and slowest of 15 runs for a training step (clipping and Adam included) and for evaluating a
batch, of versions written for speed:

  gathered the first layer by a product for the numbers and the sum of a row of its weights for each label, instead of a
           product with ones and zeros; then linear layers. Each weight is multiplied by its mask once a step. All
           mixtures at once, each category by F.cross_entropy
  compiled the same under torch.compile, where that works

The table, the likelihoods and the timer are those of `pytorch_columns.py`; two hidden layers of 256 units, float32.
"""
import sys

import torch
import torch.nn.functional as F

from pytorch_columns import BATCH, COLUMNS, COMPONENTS, LABELS, NUMBERS, ColumnNade, report

HIDDEN = 256


class ColumnMade(torch.nn.Module):
    def __init__(self):
        super().__init__()
        draw = lambda *shape: torch.nn.Parameter(torch.randn(*shape) * 0.05)
        outputs = NUMBERS * 3 * COMPONENTS + sum(LABELS)
        self.w = draw(HIDDEN, NUMBERS)
        self.labels = draw(sum(LABELS), HIDDEN)
        self.c = torch.nn.ParameterList(torch.zeros(HIDDEN) for _ in range(2))
        self.u = draw(HIDDEN, HIDDEN)
        self.v = draw(outputs, HIDDEN)
        self.b = torch.nn.Parameter(torch.zeros(outputs))
        # A unit of degree d knows the columns up to d; column t is told by units below it.
        degrees = 1 + torch.arange(HIDDEN) % (COLUMNS - 1)
        columns = torch.arange(1, COLUMNS + 1)
        of_labels = columns[NUMBERS:].repeat_interleave(torch.tensor(LABELS))
        of_outputs = torch.cat([columns[:NUMBERS].repeat_interleave(3 * COMPONENTS), of_labels])
        mask = lambda above, below, sees: sees(above[:, None], below).float()
        self.register_buffer("mask_w", mask(degrees, columns[:NUMBERS], torch.ge))
        self.register_buffer("mask_labels", mask(of_labels, degrees, torch.le))
        self.register_buffer("mask_u", mask(degrees, degrees, torch.ge))
        self.register_buffer("mask_v", mask(of_outputs, degrees, torch.gt))
        starts = torch.tensor([sum(LABELS[:k]) for k in range(len(LABELS))])
        self.register_buffer("starts", starts)

    def forward(self, z, labels):
        """log p of each row; z is [batch, numbers], labels [batch, categories]."""
        table = self.labels * self.mask_labels
        first = F.linear(torch.asinh(z), self.w * self.mask_w, self.c[0])
        first = first + F.embedding_bag(labels + self.starts, table, mode="sum")
        second = F.linear(torch.relu(first), self.u * self.mask_u, self.c[1])
        out = F.linear(torch.relu(second), self.v * self.mask_v, self.b)
        numbers, categories = out.split([NUMBERS * 3 * COMPONENTS, sum(LABELS)], 1)
        numbers = numbers.view(-1, NUMBERS, 3 * COMPONENTS).transpose(0, 1)
        nll = -ColumnNade.mixtures(self, numbers, z.t())
        for k, logits in enumerate(categories.split(LABELS, 1)):
            nll = nll + F.cross_entropy(logits, labels[:, k], reduction="none")
        return -nll


def main():
    torch.set_num_threads(int(sys.argv[1]) if len(sys.argv) > 1 else 2)
    torch.manual_seed(0)
    print("torch", torch.__version__, "threads", torch.get_num_threads())
    z = torch.randn(BATCH, NUMBERS)
    labels = torch.stack([torch.randint(m, (BATCH,)) for m in LABELS], 1)
    model = ColumnMade()
    parameters = list(model.parameters())
    adam = torch.optim.Adam(parameters, lr=2e-3, fused=True)
    for name, run in [("gathered", model), ("compiled", torch.compile(model))]:

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
