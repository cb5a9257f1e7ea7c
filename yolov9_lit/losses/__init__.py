"""Target assignment and the detection loss: plain torch, no loop over images or objects."""
