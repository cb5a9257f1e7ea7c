"""Augmentations of training samples, one a file, and the pipeline that runs them."""
