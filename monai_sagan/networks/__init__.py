"""Networks that show what does not look healthy."""

from monai_sagan.networks.published import published_generator_size
from monai_sagan.networks.sagan import SAGANCritic, SAGANGenerator

__all__ = ["SAGANCritic", "SAGANGenerator", "published_generator_size"]
