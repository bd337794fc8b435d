"""Data: layouts, readers, data sets and the synthetic phantom."""

from monai_sagan.data.datasets import CaseDataset, HealthyUnlabeledDataset
from monai_sagan.data.med_ad import load_evaluation_set, load_test_set, load_training_set, read_data_json
from monai_sagan.data.phantom import phantom_image, phantom_volume
from monai_sagan.data.phantom_dataset import write_phantom
from monai_sagan.data.reader import IMAGE_SUFFIXES, CaseReader, find_images, is_image, stem

__all__ = [
    "IMAGE_SUFFIXES",
    "CaseDataset",
    "CaseReader",
    "HealthyUnlabeledDataset",
    "find_images",
    "is_image",
    "load_evaluation_set",
    "load_test_set",
    "load_training_set",
    "phantom_image",
    "phantom_volume",
    "read_data_json",
    "stem",
    "write_phantom",
]
