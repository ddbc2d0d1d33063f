"""Networks over widths and over methods."""
