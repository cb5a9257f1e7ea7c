"""Formats of exported files: a new one is a class in a file here, and its YAML in conf/format/."""
