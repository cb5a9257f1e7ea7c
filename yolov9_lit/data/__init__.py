"""Data: reading annotations, converting formats, augmenting pictures and batching them."""
