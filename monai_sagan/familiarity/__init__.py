"""What a bundle was made for: how its training images look, and what is known of them."""

from monai_sagan.familiarity.facts import FactsRecorderd, ImageFacts, KnownFacts
from monai_sagan.familiarity.features import picture_features
from monai_sagan.familiarity.fitting import FamiliarityFitting
from monai_sagan.familiarity.harmless import harmless_changes
from monai_sagan.familiarity.likeness import Likeness
from monai_sagan.familiarity.store import Familiarity, read_familiarity, write_familiarity
from monai_sagan.familiarity.transform import OODScored

__all__ = [
    "FactsRecorderd",
    "Familiarity",
    "FamiliarityFitting",
    "ImageFacts",
    "KnownFacts",
    "Likeness",
    "OODScored",
    "harmless_changes",
    "picture_features",
    "read_familiarity",
    "write_familiarity",
]
