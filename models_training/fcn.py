"""The fully convolutional network of Wang et al. 2017."""

from __future__ import annotations

from typing import Any

from models_training.blocks import convolution, mean_over_time, norm_relu
from models_training.settings import ArchitectureSettings


def fcn_wang(x: Any, settings: ArchitectureSettings) -> Any:
    """Add the network of Wang et al. 2017 (doi 10.1109/IJCNN.2017.7966039).

    Three convolutions of width, 2 width and width channels (128, 256, 128) and of 8, 5 and 3
    samples (in these proportions to `kernel_samples`), nothing shortened.

    Returns
    -------
    tensor of shape (batch, width)
        The pooled features; blocks end in ``conv1_block1_out`` ... ``conv3_block1_out``.
    """
    stride = settings.stem_stride
    shapes = zip((1, 2, 1), (1.0, 5 / 8, 3 / 8), settings.stage_blocks, strict=True)
    for stage, (growth, share, n_blocks) in enumerate(shapes):
        length = max(round(settings.kernel_samples * share), 1)
        for block in range(n_blocks):
            name = f"conv{stage + 1}_block{block + 1}"
            x = convolution(x, settings.width * growth, length, name, stride=stride)
            x, stride = norm_relu(x, name, "out"), 1
    return mean_over_time(x)
