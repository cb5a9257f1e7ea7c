"""The options of `conf/pgi` that a model with GELAN's neck takes."""

from yolov9_lit.app.configs import CONFIG_DIR

OTHERS = {"yolov7_aux"}  # of YOLOv7's neck
VARIANTS = sorted({path.stem for path in (CONFIG_DIR / "pgi").glob("*.yaml")} - OTHERS)
