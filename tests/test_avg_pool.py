"""Averages over squares without their input: torch's bits, forward and backward."""

from __future__ import annotations

import pytest
import torch

import spikeloom as sl
from spikeloom.kernels.avg_pool import avg_pool, can_pool, pool_backward_op, pool_op

CHECKS = "test_schema", "test_autograd_registration", "test_faketensor"  # all but torch's compiler
FORWARD, BACKWARD = "avg_pool/cpu/AvgPool2d/forward", "avg_pool/cpu/AvgPool2d/backward"


@pytest.mark.parametrize("kernel", [(2, 2), (3, 2), (1, 5)])
@pytest.mark.parametrize("size", [(3, 5, 16, 16), (2, 3, 7, 33), (1, 1, 3, 5)])
def test_bits_are_torchs(kernel: tuple[int, int], size: tuple[int, ...]) -> None:
    torch.manual_seed(2)
    x = torch.randn(size).requires_grad_()
    sl.last_kernels()
    y, expected = avg_pool(x, kernel), torch.nn.functional.avg_pool2d(x, kernel)
    assert torch.equal(y, expected)
    grad = torch.randn(y.shape)
    (ours,), (theirs,) = torch.autograd.grad(y, x, grad), torch.autograd.grad(expected, x, grad)
    assert torch.equal(ours, theirs)
    assert sl.last_kernels() == [FORWARD, BACKWARD]


def test_an_input_without_a_square_is_left_alone() -> None:
    x = torch.zeros(2, 3, 4, 4)
    assert can_pool(x, (2, 2))
    for other in (x[:, :, ::2], x[0], x[:0]):
        assert not can_pool(other, (2, 2))
    assert not can_pool(x, (5, 1))
    assert not can_pool(torch.zeros(1, 1, 9, 9), (9, 9))


def test_operators() -> None:
    x = torch.randn(2, 3, 5, 6, requires_grad=True)
    torch.library.opcheck(pool_op, (x, [2, 2]), test_utils=CHECKS)
    torch.library.opcheck(pool_backward_op, (torch.randn(2, 3, 2, 3), [2, 3, 5, 6], [2, 2]), test_utils=CHECKS)
    x64 = x.detach().double().requires_grad_()
    y = pool_op(x64, [2, 2])
    (found,) = torch.autograd.grad(y.square().sum(), x64)
    (expected,) = torch.autograd.grad(torch.nn.functional.avg_pool2d(x64, 2).square().sum(), x64)
    assert torch.equal(found, expected)


def test_second_derivatives_need_the_reference() -> None:
    x = torch.randn(2, 3, 4, 4, requires_grad=True)
    (first,) = torch.autograd.grad(avg_pool(x, (2, 2)).pow(2).sum(), x, create_graph=True)
    with pytest.raises(sl.errors.BackendError, match="first derivatives only"):
        torch.autograd.grad(first.sum(), x)


def taken(layer: torch.nn.Module, x: torch.Tensor) -> bool:
    sl.last_kernels()
    y, _ = sl.nn.Sequential(layer)(x)
    found = FORWARD in sl.last_kernels()
    assert torch.equal(y, layer(x.flatten(0, 1)).unflatten(0, x.shape[:2]))
    return found


def test_which_modules_of_a_net_take_it() -> None:
    x = torch.rand(4, 8, 16, 16, 16)
    hooked = torch.nn.AvgPool2d(2)
    hooked.register_forward_hook(lambda *_: None)
    assert taken(torch.nn.AvgPool2d(2), x)
    assert taken(torch.nn.AvgPool2d((2, 4), (2, 4)), x)
    with sl.backend("reference"):
        assert not taken(torch.nn.AvgPool2d(2), x)
    for layer in (
        torch.nn.AvgPool2d(3, 2), torch.nn.AvgPool2d(2, padding=1), torch.nn.AvgPool2d(3, ceil_mode=True),
        torch.nn.AvgPool2d(2, divisor_override=3), hooked, torch.nn.MaxPool2d(2),
    ):  # fmt: skip
        assert not taken(layer, x)
    assert not taken(torch.nn.AvgPool2d(2), x.double())
    assert not taken(torch.nn.AvgPool2d(2), x[:1, :1])
