"""Where a deployment comes from."""
