"""Methods side by side."""

from monai_sagan.comparison.attention import compare_attention
from monai_sagan.comparison.table import comparison_rows, comparison_table

__all__ = ["compare_attention", "comparison_rows", "comparison_table"]
