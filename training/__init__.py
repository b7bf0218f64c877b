"""Training, measuring and exporting text-prompted segmentation models."""

import medviewer.models  # noqa: F401  (sets how waiting threads behave, which torch reads when it is loaded)
