"""Run folders as a table beside the paper's: read, pool, compare, write."""
