"""Augmentations of training samples, one in each file, and the pipeline that runs them."""
