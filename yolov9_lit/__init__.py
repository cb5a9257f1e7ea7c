"""YOLOv9 as a research framework: GELAN detectors, PGI branches, Lightning, Hydra."""

__version__ = "0.1.0"
