"""The sizes of a convolution over ``[N, C, H, W]``, and which convolutions of sparse input the kernels can do."""

from __future__ import annotations

import dataclasses

Two = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class ConvShape:
    """``batch`` images of ``channels`` x ``size``, ``outputs`` x ``kernel`` weights, ``stride`` and zero ``padding``.

    >>> ConvShape(1, 2, 64, (32, 32), (3, 3), (2, 2), (1, 1)).found
    (16, 16)
    """

    batch: int
    channels: int
    outputs: int
    size: Two
    kernel: Two
    stride: Two = (1, 1)
    padding: Two = (0, 0)

    @property
    def found(self) -> Two:
        """Height and width of the result."""
        sides = zip(self.size, self.kernel, self.stride, self.padding, strict=True)
        height, width = ((n + 2 * p - k) // s + 1 for n, k, s, p in sides)
        return height, width

    @property
    def places(self) -> int:
        """Elements of a channel of the input."""
        return self.size[0] * self.size[1]

    @property
    def reach(self) -> int:
        """At most so many places has a channel of the gradient with the margins from which no element lacks a tap."""
        high, wide = (n + 2 * k for n, k in zip(self.size, self.kernel, strict=True))
        return high * wide

    @property
    def products(self) -> int:
        """Multiplications of the dense convolution."""
        taps = self.kernel[0] * self.kernel[1]
        return self.batch * self.found[0] * self.found[1] * taps * self.channels * self.outputs

    @property
    def fits(self) -> bool:
        """Whether the kernels can do it: some output, padding narrower than the kernel, places within 32 bits."""
        narrow = all(0 <= p < k for p, k in zip(self.padding, self.kernel, strict=True))
        small = self.channels * self.places < 2**31 and self.size[1] * self.channels < 2**31
        return narrow and small and min(self.size) > 0 and min(self.found) > 0 and self.batch * self.channels > 0
