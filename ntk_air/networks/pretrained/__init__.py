"""Networks that were trained elsewhere: their weights, and what they make of images."""
