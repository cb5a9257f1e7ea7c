"""The Lightning side: module, optimiser groups, schedule, averaging and callbacks."""
