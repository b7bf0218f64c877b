"""Networks and the text segmentation pipeline. The only package of the program that imports torch (with plugins)."""

import os

# Read by OpenMP when torch is loaded: threads that wait give their core to others instead of spinning, so that a busy
# machine (or the window) does not slow the network down many times over.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
