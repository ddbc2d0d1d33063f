"""Kernels of convolutional networks against neural-tangents."""
