"""The embedded engine: it evaluates a program in process into a deployment."""
