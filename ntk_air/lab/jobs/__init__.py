"""Jobs at the size of whole data sets: what they need, and the operator that they work with."""
