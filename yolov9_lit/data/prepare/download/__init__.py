"""Data sets from their publishers: fetched, verified and unpacked, however often interrupted."""
