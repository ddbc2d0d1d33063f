"""Neural tangent kernels: infinite-width, empirical, and the operator that the rest works on."""
