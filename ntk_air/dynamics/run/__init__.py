"""What every run shares: inputs, learning rate, losses, metrics, records, the trajectory."""
