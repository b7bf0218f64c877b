"""Generated training images: phantoms and images made from label maps."""
