"""Kernels in tiles: kept on disk, or computed anew for each product."""
