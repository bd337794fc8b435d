"""Steps of a training that a CUDA device runs as a whole, without waiting for the processor between two kernels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer

__all__ = ["GraphedStep"]

# Steps before the recording, in which libraries choose their kernels and optimizers make their state.
_WARM_UP = 3


class GraphedStep:
    """A step of a training, recorded once as a CUDA graph and then replayed.

    Its first calls run as they are, and count as steps like any other. What decides how a step runs must stay the same
    from then on: shapes, and which parameters have a gradient. Learning rates may change. Optimizers need
    ``capturable=True``.

    Args:
        step: takes tensors on the device, of the same shapes each time, and gives a dictionary of such tensors.
        optimizers: those that the step uses.
        device: where.
    """

    def __init__(
        self, step: Callable[..., dict[str, torch.Tensor]], optimizers: Sequence[Optimizer], device: torch.device
    ) -> None:
        self.step = step
        self.optimizers = optimizers
        self.device = device
        self.calls = 0
        self.stream = torch.cuda.Stream(device)
        self.graph = torch.cuda.CUDAGraph()
        self.inputs: list[torch.Tensor] = []
        self.rates: list[torch.Tensor] = []
        self.outputs: dict[str, torch.Tensor] = {}

    def __call__(self, *inputs: torch.Tensor) -> dict[str, torch.Tensor]:
        """Runs the step.

        Args:
            *inputs: for the step.

        Returns:
            What the step gives.
        """
        with torch.cuda.device(self.device):  # streams and recordings are those of the current one
            return self._call(inputs)

    @property
    def groups(self) -> list[dict[str, Any]]:
        """The optimizers' groups of parameters, which are others once a checkpoint was loaded."""
        return [group for optimizer in self.optimizers for group in optimizer.param_groups]

    def _call(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        self.calls += 1
        if self.calls <= _WARM_UP:
            return self._run(inputs)
        if self.calls == _WARM_UP + 1:
            self._record(inputs)
        for kept, new in zip(self.inputs, inputs):
            kept.copy_(new)
        for rate, group in zip(self.rates, self.groups):
            rate.fill_(group["lr"])
        self.graph.replay()
        return {name: output.clone() for name, output in self.outputs.items()}

    def _run(self, inputs: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """The step as it is, in the stream that it will be recorded in, as CUDA asks."""
        self.stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self.stream):
            outputs = self.step(*inputs)
        torch.cuda.current_stream().wait_stream(self.stream)
        return outputs

    def _record(self, inputs: Sequence[torch.Tensor]) -> None:
        self.inputs = [tensor.clone() for tensor in inputs]
        rates: list[Any] = [group["lr"] for group in self.groups]
        # A number would be recorded as it is; a tensor is read at each replay.
        self.rates = [torch.tensor(float(rate), device=self.device) for rate in rates]
        try:
            for group, tensor in zip(self.groups, self.rates):
                group["lr"] = tensor
            with torch.cuda.graph(self.graph, stream=self.stream, capture_error_mode="thread_local"):
                self.outputs = self.step(*self.inputs)
        finally:
            for group, rate in zip(self.groups, rates):
                group["lr"] = rate
