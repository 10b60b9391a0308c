"""The peer of `benchmarks/training.py`: the same ResNet-50 in PyTorch, with our weights.

Written as PyTorch users write it: ``Conv1d`` on (batch, channels, time), strided 1x1 convolutions,
``AdamW(fused=True)``. ``as_2d`` is the same network of ``Conv2d`` on (batch, channels, 1, time),
which PyTorch can lay out with the channels last.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import nn
from torch.nn import functional

EPSILON = 1e-3  # of Keras' batch normalisation
STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))


def convolution(n_in: int, n_out: int, kernel: int, stride: int, *, as_2d: bool) -> nn.Module:
    """Return a convolution over time without bias."""
    padding = kernel // 2
    if as_2d:
        return nn.Conv2d(n_in, n_out, (1, kernel), (1, stride), (0, padding), bias=False)
    return nn.Conv1d(n_in, n_out, kernel, stride, padding, bias=False)


def norm(n_channels: int, *, as_2d: bool) -> nn.Module:
    """Return a batch normalisation with Keras' epsilon."""
    return (nn.BatchNorm2d if as_2d else nn.BatchNorm1d)(n_channels, eps=EPSILON)


class Bottleneck(nn.Module):
    """1x1, k x 1, 1x1 and the shortcut."""

    def __init__(self, n_in: int, width: int, *, stride: int, is_first: bool, as_2d: bool) -> None:
        super().__init__()
        sizes = ((n_in, width, 1, stride), (width, width, 3, 1), (width, 4 * width, 1, 1))
        if is_first:
            sizes = ((n_in, 4 * width, 1, stride), *sizes)
        for number, size in enumerate(sizes, start=0 if is_first else 1):
            self.add_module(f"conv_{number}", convolution(*size, as_2d=as_2d))
            self.add_module(f"bn_{number}", norm(size[1], as_2d=as_2d))
        self.is_first = is_first

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output."""
        shortcut = self.bn_0(self.conv_0(x)) if self.is_first else x
        y = functional.relu(self.bn_1(self.conv_1(x)), inplace=True)
        y = functional.relu(self.bn_2(self.conv_2(y)), inplace=True)
        return functional.relu(self.bn_3(self.conv_3(y)) + shortcut, inplace=True)


class TorchResNet50(nn.Module):
    """ResNet-50 in one dimension; gives logits, shape (batch, 1)."""

    def __init__(self, *, as_2d: bool = False) -> None:
        super().__init__()
        self.as_2d = as_2d
        self.register_buffer("mean", torch.zeros(12))
        self.register_buffer("scale", torch.ones(12))
        self.conv1_conv = nn.Conv2d(12, 64, (1, 7), (1, 2), bias=False) if as_2d else nn.Conv1d(
            12, 64, 7, 2, bias=False
        )  # fmt: skip
        self.conv1_bn = norm(64, as_2d=as_2d)
        n_in = 64
        blocks = []
        for stage, (width, n_blocks) in enumerate(STAGES, start=2):
            for number in range(1, n_blocks + 1):
                block = Bottleneck(
                    n_in,
                    width,
                    stride=2 if stage > 2 and number == 1 else 1,
                    is_first=number == 1,
                    as_2d=as_2d,
                )
                blocks.append((f"conv{stage}_block{number}", block))
                n_in = 4 * width
        self.block_names = [name for name, _ in blocks]
        for name, block in blocks:
            self.add_module(name, block)
        self.dropout, self.logit = nn.Dropout(0.3), nn.Linear(2048, 1)

    def forward(self, ecg: torch.Tensor) -> torch.Tensor:
        """Return logits of ECGs of shape (batch, 12, time), or (batch, 12, 1, time) as 2d."""
        shape = (1, 12, 1, 1) if self.as_2d else (1, 12, 1)
        x = (ecg - self.mean.view(shape)) / self.scale.view(shape)
        x = functional.pad(x, (2, 3))  # what "same" means to Keras for an even length
        x = functional.relu(self.conv1_bn(self.conv1_conv(x)), inplace=True)
        pool = functional.max_pool2d if self.as_2d else functional.max_pool1d
        x = pool(x, (1, 3), (1, 2), ceil_mode=True) if self.as_2d else pool(x, 3, 2, ceil_mode=True)
        for name in self.block_names:
            x = getattr(self, name)(x)
        x = x.mean(dim=tuple(range(2, x.ndim)))
        return self.logit(self.dropout(x))


def copy_weights(network: TorchResNet50, weights: Mapping[str, np.ndarray]) -> None:
    """Write our weights, named ``<layer>/<weight>``, into the network."""
    parts = {"gamma": "weight", "beta": "bias", "moving_mean": "running_mean"}
    parts |= {"moving_variance": "running_var", "kernel": "weight", "bias": "bias"}
    target = dict(network.named_parameters()) | dict(network.named_buffers())
    for path, value in weights.items():
        layer, _, part = path.partition("/")
        if layer == "ecg_scaling":
            name = part
        else:
            block, _, rest = layer.rpartition("_block")
            if block:  # conv2_block1_0_conv -> conv2_block1.conv_0
                number, index, kind = rest.split("_")
                layer = f"{block}_block{number}.{kind}_{index}"
            name = f"{layer}.{parts[part]}"
        array = value
        if part == "kernel":
            array = value.T if value.ndim == 2 else value.transpose(2, 1, 0)
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        with torch.no_grad():
            target.pop(name).copy_(tensor.reshape(_shape_of(network, name)))
    left = [name for name in target if not name.endswith("num_batches_tracked")]
    if left:
        raise ValueError(f"weights must fill the network, missing: {', '.join(left)}.")


def _shape_of(network: TorchResNet50, name: str) -> torch.Size:
    return (dict(network.named_parameters()) | dict(network.named_buffers()))[name].shape


def training_step(network: nn.Module, autocast: bool) -> Callable[..., float]:
    """Return a function from ECGs and outcomes to the loss of one AdamW step."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3, weight_decay=1e-2, fused=True)

    def step(ecg: torch.Tensor, y_true: torch.Tensor) -> float:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            logit = network(ecg)
        loss = functional.binary_cross_entropy_with_logits(logit.float(), y_true)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step
