"""Hydra plugin of yolov9_lit: architecture search with Optuna."""
