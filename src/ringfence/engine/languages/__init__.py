"""How programs of each runtime are started out of process, and how their faults are read."""
