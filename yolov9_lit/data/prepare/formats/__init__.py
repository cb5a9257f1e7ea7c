"""Data sets in the layouts of COCO, Pascal VOC, YOLO and others: read into one form, and written.

Another layout is a `SourceFolder` (`source.py`) in a file of its own and, if it is to be written
too, a function, both named in `convert.FORMATS`; a file of `conf/data` names the first to train on
it in place.
"""
