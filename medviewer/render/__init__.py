"""Pictures of scans: slices by numpy and Pillow, 3D by VTK. No Qt; works without a display."""
