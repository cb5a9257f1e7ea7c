"""COCO-format annotation files: read, judged and written, without torch."""
