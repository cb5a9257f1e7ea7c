"""Data sets in the layouts of COCO, Pascal VOC and YOLO: read into one form, written from it.

Another layout is a `SourceFolder` (`source.py`) in a file of its own and a function that writes it,
both named in `convert.FORMATS`; a file of `conf/data` names the first to train on it in place.
"""
