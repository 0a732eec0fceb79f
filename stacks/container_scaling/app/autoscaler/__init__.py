"""Sets the desired count of one NGroup, which has no autoscale of its own."""
