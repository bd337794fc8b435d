"""Networks that show what does not look healthy."""

from monai_sagan.networks.attention_classifier import GlobalAttentionClassifier
from monai_sagan.networks.backbones import make_backbone
from monai_sagan.networks.batch_norm import fold_batch_norm
from monai_sagan.networks.contrast_network import ContrastNetwork
from monai_sagan.networks.forest import Forest
from monai_sagan.networks.global_spatial_attention import GlobalSpatialAttention
from monai_sagan.networks.pixel_statistics import PixelStatistics
from monai_sagan.networks.placing import to_device
from monai_sagan.networks.published import published_generator_size
from monai_sagan.networks.reconstruction import make_reconstruction_network
from monai_sagan.networks.sagan import SAGANCritic, SAGANGenerator, check_image_size

__all__ = [
    "ContrastNetwork",
    "Forest",
    "GlobalAttentionClassifier",
    "GlobalSpatialAttention",
    "PixelStatistics",
    "SAGANCritic",
    "SAGANGenerator",
    "check_image_size",
    "fold_batch_norm",
    "make_backbone",
    "make_reconstruction_network",
    "published_generator_size",
    "to_device",
]
