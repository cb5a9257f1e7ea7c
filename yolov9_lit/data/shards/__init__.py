"""Data sets as shards: tar files of images, in a folder or a store, for any number of images.

A folder of shards holds `000000.tar`, ... as WebDataset has them (`000000123.jpg` beside
`000000123.json`, the image's COCO image and annotations), `index/*.npy` with all annotations and
where each image lies, `annotations.json` in COCO format, and `manifest.json` with the checksums.
"""
