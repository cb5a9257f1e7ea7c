"""A run in its folder: what identifies it, its record, continuing it, sweeps and searches."""
