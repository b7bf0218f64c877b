"""Numbers from masks and voxels, each with unit, method, points and, where there is none, the reason."""

from medviewer.core.measure.allowed import AllowedTable, allowed_table
from medviewer.core.measure.by_hand import HandDrawing, measure_by_hand
from medviewer.core.measure.facts import Examination, examination_of
from medviewer.core.measure.measuring import Rules, measure_quantity, measure_scan, measure_segment
from medviewer.core.measure.quantities import KNOWN
from medviewer.core.measure.ranges import ReferenceRange, reference_ranges, with_range
from medviewer.core.measure.wordings import Wordings, wordings

__all__ = [
    "KNOWN",
    "AllowedTable",
    "Examination",
    "HandDrawing",
    "ReferenceRange",
    "Rules",
    "Wordings",
    "allowed_table",
    "examination_of",
    "measure_by_hand",
    "measure_quantity",
    "measure_scan",
    "measure_segment",
    "reference_ranges",
    "with_range",
    "wordings",
]
