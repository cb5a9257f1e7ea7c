"""GELAN detectors with pluggable PGI branches: plain torch modules that take plain arguments."""
