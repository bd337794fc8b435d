"""Data: layouts, readers, data sets and the synthetic phantom."""

from monai_sagan.data.cases import find_images, list_cases
from monai_sagan.data.datasets import CaseDataset, HealthyUnlabeledDataset, LabeledDataset, batch_cases
from monai_sagan.data.dicom import may_be_dicom
from monai_sagan.data.healthy import HealthyDataset
from monai_sagan.data.labeled import (
    LabeledImage,
    list_classes,
    load_labeled_test_set,
    load_labeled_training_set,
    read_labeled_images,
    split_for_training,
)
from monai_sagan.data.med_ad import (
    load_calibration_set,
    load_evaluation_set,
    load_healthy_set,
    load_test_set,
    load_training_set,
    read_data_json,
)
from monai_sagan.data.on_device import OnDeviceDataset, collate_pairs, keep_on_device
from monai_sagan.data.patient import patient_data
from monai_sagan.data.phantom import phantom_image, phantom_volume
from monai_sagan.data.phantom_dataset import write_phantom, write_phantom_volumes
from monai_sagan.data.reader import CaseReader
from monai_sagan.data.trained_on import digest_of, leave_out_trained, read_trained_on, write_trained_on
from monai_sagan.image_names import IMAGE_SUFFIXES, is_image, is_picture, stem

__all__ = [
    "IMAGE_SUFFIXES",
    "CaseDataset",
    "CaseReader",
    "HealthyDataset",
    "HealthyUnlabeledDataset",
    "LabeledDataset",
    "LabeledImage",
    "OnDeviceDataset",
    "batch_cases",
    "collate_pairs",
    "digest_of",
    "find_images",
    "is_image",
    "is_picture",
    "keep_on_device",
    "leave_out_trained",
    "list_cases",
    "list_classes",
    "load_calibration_set",
    "load_evaluation_set",
    "load_healthy_set",
    "load_labeled_test_set",
    "load_labeled_training_set",
    "load_test_set",
    "load_training_set",
    "may_be_dicom",
    "patient_data",
    "phantom_image",
    "phantom_volume",
    "read_data_json",
    "read_labeled_images",
    "read_trained_on",
    "split_for_training",
    "stem",
    "write_phantom",
    "write_phantom_volumes",
    "write_trained_on",
]
