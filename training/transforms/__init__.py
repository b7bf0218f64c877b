"""Random changes of images, masks and texts."""
