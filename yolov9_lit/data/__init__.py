"""Data: reading annotations, converting formats, augmenting images and batching them."""
