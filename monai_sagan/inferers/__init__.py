"""Inferers: an image or a volume in, its healthy redrawing and anomaly map out."""

from monai_sagan.inferers.restoration import RestorationInferer

__all__ = ["RestorationInferer"]
