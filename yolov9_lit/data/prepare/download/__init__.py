"""Data sets from their publishers: described, fetched, verified and unpacked."""
