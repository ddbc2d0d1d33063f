"""What every room stands on: checks, memory, precision, progress, axes, files."""
