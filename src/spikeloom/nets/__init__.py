"""Ready-made architectures."""

from .conv import ConvBlock, conv_net
from .mlp import mlp

__all__ = ["ConvBlock", "conv_net", "mlp"]
