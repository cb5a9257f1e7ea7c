"""How much of the image, and of its objects, can be read from each layer of a backbone."""
