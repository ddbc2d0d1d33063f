"""neural-tangents 0.6.5 and its kernels on current JAX."""
