"""Training, measuring and exporting the default text-prompted segmentation model."""
