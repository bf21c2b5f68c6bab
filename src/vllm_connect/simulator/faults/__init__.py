"""What can go wrong, on request: a table of faults, and the switchboard that says which request meets which."""
