"""Data sets in the layouts of COCO, Pascal VOC and YOLO: read into one form, written from it."""
