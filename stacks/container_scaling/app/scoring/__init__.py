"""Scores requests with a model, over HTTP."""
