"""Detection on images: predictors, exported files, images and videos to read."""
