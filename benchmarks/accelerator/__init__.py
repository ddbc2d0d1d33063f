"""What an accelerator makes of the library's work, beside the same on CPUs."""
