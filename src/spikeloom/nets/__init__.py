"""Ready-made architectures."""

from .conv import ConvBlock, conv_net
from .mlp import mlp
from .norms import threshold_norm
from .sew_resnet import RESNET18, RESNET34, SewBlock, Stage, sew_resnet
from .twin import ann_twin
from .vgg import vgg

__all__ = [
    "ConvBlock",
    "RESNET18",
    "RESNET34",
    "SewBlock",
    "Stage",
    "ann_twin",
    "conv_net",
    "mlp",
    "sew_resnet",
    "threshold_norm",
    "vgg",
]
