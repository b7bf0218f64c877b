"""Text segmentation: a prompt in words (and clicks) to a mask."""
