"""Functions that a CUDA device runs as a whole, without waiting for the processor between two kernels."""

from __future__ import annotations

from collections.abc import Callable

import torch

__all__ = ["RecordedFunction"]


class RecordedFunction:
    """A function of tensors on a CUDA device, recorded as a CUDA graph for each shape of its first argument.

    A GPU that gets its work kernel by kernel waits for the processor most of the time when batches are small.

    Args:
        function: gives a tensor; what it depends on besides its arguments stays where it is in memory.
    """

    def __init__(self, function: Callable[..., torch.Tensor]) -> None:
        self.function = function
        self.recordings: dict[torch.Size, tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, ...], torch.Tensor]] = {}

    def __call__(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Runs the function.

        Args:
            *inputs: its arguments.

        Returns:
            What it gives; the next call writes over it.
        """
        with torch.cuda.device(inputs[0].device):  # streams and recordings are those of the current one
            if inputs[0].shape not in self.recordings:
                self.recordings[inputs[0].shape] = self._record(inputs)
            graph, kept, output = self.recordings[inputs[0].shape]
            for tensor, new in zip(kept, inputs):
                tensor.copy_(new)
            graph.replay()
        return output

    def _record(
        self, inputs: tuple[torch.Tensor, ...]
    ) -> tuple[torch.cuda.CUDAGraph, tuple[torch.Tensor, ...], torch.Tensor]:
        kept = tuple(tensor.clone() for tensor in inputs)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.function(*kept)  # in which libraries choose their kernels, and torch compiles
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
            output = self.function(*kept)
        return graph, kept, output
