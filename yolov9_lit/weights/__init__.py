"""Checkpoints in and out: this project's, deployed ones and published ones."""
