"""From raw outputs to figures: non-maximum suppression, COCO's metric, drawing and tables."""
