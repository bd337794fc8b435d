"""Results: what is written of a case, and of all."""

from monai_sagan.results.image_file import IMAGE_FORMATS, write_image
from monai_sagan.results.result import RESULT_SCHEMA_VERSION, peak_of, summarize
from monai_sagan.results.save import SaveResultd
from monai_sagan.results.table import ResultTable

__all__ = [
    "IMAGE_FORMATS",
    "RESULT_SCHEMA_VERSION",
    "ResultTable",
    "SaveResultd",
    "peak_of",
    "summarize",
    "write_image",
]
