"""Transforms: from files to what the networks take, and from what they give to maps and scores."""

from monai_sagan.transforms.anomaly import AnomalyScore, AnomalyScored
from monai_sagan.transforms.greyscale import Greyscale, Greyscaled
from monai_sagan.transforms.intensity import ScaleToNetworkRange, ScaleToNetworkRanged
from monai_sagan.transforms.network_grid import ToNetworkGrid, ToNetworkGridd, resize
from monai_sagan.transforms.pseudo_anomaly import RandPseudoAnomaly, RandPseudoAnomalyd

__all__ = [
    "AnomalyScore",
    "AnomalyScored",
    "Greyscale",
    "Greyscaled",
    "RandPseudoAnomaly",
    "RandPseudoAnomalyd",
    "ScaleToNetworkRange",
    "ScaleToNetworkRanged",
    "ToNetworkGrid",
    "ToNetworkGridd",
    "resize",
]
