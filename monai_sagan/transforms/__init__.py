"""Transforms: from files to what the networks take, and from what they give to maps and scores."""

from monai_sagan.transforms.anomaly import AnomalyScore, AnomalyScored, volume_score
from monai_sagan.transforms.classification import ClassProbabilitiesd
from monai_sagan.transforms.coarse_noise import RandCoarseNoise
from monai_sagan.transforms.contrast import ContrastScored, check_score
from monai_sagan.transforms.contrast_ensemble import ContrastEnsemble, read_contrast
from monai_sagan.transforms.foreground import has_foreground
from monai_sagan.transforms.greyscale import Greyscale, Greyscaled
from monai_sagan.transforms.image_features import image_features
from monai_sagan.transforms.intensity import ScaleToNetworkRange, ScaleToNetworkRanged
from monai_sagan.transforms.network_samples import NetworkSamples, NetworkSamplesd
from monai_sagan.transforms.pseudo_anomaly import RandPseudoAnomaly, RandPseudoAnomalyd
from monai_sagan.transforms.resizing import resize
from monai_sagan.transforms.slices import (
    SLICE_DIRECTIONS,
    SliceLayout,
    check_slice_direction,
    find_slice_axis,
    stacked_along,
)
from monai_sagan.transforms.whole_image import WholeImage, WholeImaged

__all__ = [
    "SLICE_DIRECTIONS",
    "AnomalyScore",
    "AnomalyScored",
    "ClassProbabilitiesd",
    "ContrastEnsemble",
    "ContrastScored",
    "Greyscale",
    "Greyscaled",
    "NetworkSamples",
    "NetworkSamplesd",
    "RandCoarseNoise",
    "RandPseudoAnomaly",
    "RandPseudoAnomalyd",
    "ScaleToNetworkRange",
    "ScaleToNetworkRanged",
    "SliceLayout",
    "WholeImage",
    "WholeImaged",
    "check_score",
    "check_slice_direction",
    "find_slice_axis",
    "has_foreground",
    "image_features",
    "read_contrast",
    "resize",
    "stacked_along",
    "volume_score",
]
