"""Checkpoints in and out, and the detector that reads pictures."""
