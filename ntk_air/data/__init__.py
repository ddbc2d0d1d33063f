"""Data sets with clean and noisy labels: loaders, label noise, a catalogue of names."""
