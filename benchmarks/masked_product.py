"""What it would bring to form only those products of an input gradient that a surrogate needs.

`python benchmarks/masked_product.py` prints, for shares of [12800, 512] entries that are needed (W2's hidden layers),
the time of products of single pairs beside that of the whole dense product, on one thread. A prototype for
docs/decisions/0012: nothing in the package uses it.
"""

from __future__ import annotations

import statistics
import time

import numba
import numpy as np
import torch

ROWS, INPUTS, OUTPUTS, BLOCK = 12_800, 512, 512, 128


@numba.njit(fastmath={"contract", "reassoc", "nsz"}, error_model="numpy")
def masked(grad, weight, needed, starts, out):
    """``out[r, n] = grad[r] @ weight[n]`` for the ``needed`` n of each row and block of inputs, four at a time."""
    rows, outputs = grad.shape
    blocks = len(starts) // rows
    for b in range(blocks):  # the weights of a block stay in the second-level cache
        for r in range(rows):
            e, last = starts[r * blocks + b], starts[r * blocks + b + 1]
            while e < last:
                i, j, k, m = (
                    needed[e],
                    needed[min(e + 1, last - 1)],
                    needed[min(e + 2, last - 1)],
                    needed[min(e + 3, last - 1)],
                )
                p, q, s, t = np.float32(0), np.float32(0), np.float32(0), np.float32(0)
                for o in range(outputs):
                    g = grad[r, o]
                    p, q, s, t = p + g * weight[i, o], q + g * weight[j, o], s + g * weight[k, o], t + g * weight[m, o]
                out[r, i], out[r, j], out[r, k], out[r, m] = p, q, s, t
                e += 4


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    grad, weight = torch.randn(ROWS, OUTPUTS), torch.randn(OUTPUTS, INPUTS)
    by_input, dense = weight.T.contiguous().numpy(), grad @ weight
    blocks, out = INPUTS // BLOCK, np.zeros((ROWS, INPUTS), np.float32)
    for share in (0.05, 0.13, 0.17, 0.3, 0.45):
        mask = (torch.rand(ROWS, INPUTS) < share).numpy()
        rows, columns = np.nonzero(mask)
        starts = np.searchsorted(rows * blocks + columns // BLOCK, np.arange(ROWS * blocks + 1))
        needed, times = columns.astype(np.int32), list[float]()
        masked(grad.numpy(), by_input, needed, starts, out)
        np.testing.assert_allclose(out[mask], dense.numpy()[mask], atol=2e-3)
        for _ in range(7):
            begun = time.perf_counter()
            masked(grad.numpy(), by_input, needed, starts, out)
            between = time.perf_counter()
            torch.mm(grad, weight)
            times.append((between - begun) / (time.perf_counter() - between))
        low, middle, high = min(times), statistics.median(times), max(times)
        print(f"{share:4.0%} needed: {middle:.2f} ({low:.2f} to {high:.2f}) of the dense product")


if __name__ == "__main__":
    main()
