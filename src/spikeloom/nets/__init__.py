"""Ready-made architectures."""

from .conv import ConvBlock, conv_net
from .mlp import mlp
from .twin import ann_twin

__all__ = ["ConvBlock", "ann_twin", "conv_net", "mlp"]
