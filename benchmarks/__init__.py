"""Benchmarks: a class each, named by a YAML in conf/what."""
