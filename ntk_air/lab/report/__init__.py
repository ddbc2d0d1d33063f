"""What a reader sees: progress, summaries and figures, drawn from saved results."""
