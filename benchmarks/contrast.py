"""What folding batch normalisation gains where a bundle scores by contrast.

    python benchmarks/contrast.py [--device cuda:0] [--batch 16] [--turns 25]

scores pictures of 64x64 pixels by the networks of the shipped bundle, as they were trained and with the normalisation
folded into their convolutions, in turn in one process. Prints the table of docs/results/speed.md and writes
benchmarks/results/contrast_DEVICE.json.
"""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Sequence
from functools import partial

import torch
from bundle_parts import BUNDLE
from result_files import parse_arguments, write_result
from spreads import compare, table_of
from timing import in_turn
from torch import nn

from monai_sagan.bundle_files import CONTRAST
from monai_sagan.networks import ContrastNetwork, fold_batch_norm
from monai_sagan.transforms import read_contrast
from monai_sagan.transforms.contrast_ensemble import network_logits

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> None:
    """Runs what the arguments say."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--batch", type=int, default=16, help="pictures at once")
    parser.add_argument("--turns", type=int, default=25)
    arguments = parse_arguments(parser, argv)
    device = torch.device(arguments.device)
    pictures = torch.rand(arguments.batch, 1, 64, 64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    pictures = pictures.to(device)
    trained, folded = read_networks(device), fold_batch_norm(read_networks(device))
    runs = {"as_trained": partial(judge, trained, pictures), "folded": partial(judge, folded, pictures)}
    seconds = in_turn(runs, arguments.turns, device, warm_up=3)
    row = compare(f"{arguments.batch} pictures", *seconds.items())
    difference = float((judge(trained, pictures) - judge(folded, pictures)).abs().max())
    print(table_of(["scored by contrast", "as trained (s)", "folded (s)", "times as fast"], [row]))
    print(f"\nLargest difference of a logit: {difference:.1e}")
    write_result("contrast", arguments, {"rows": [row], "difference": difference})


def read_networks(device: torch.device) -> nn.ModuleList:
    """The five networks of the shipped bundle."""
    networks = read_contrast(BUNDLE / CONTRAST, ContrastNetwork).networks
    return networks.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.inference_mode()
def judge(networks: nn.ModuleList, pictures: torch.Tensor) -> torch.Tensor:
    """What the networks say of pictures (B, 1, rows, columns), as logits (networks, B)."""
    return torch.stack([network_logits(network, pictures) for network in networks])


if __name__ == "__main__":
    main()
