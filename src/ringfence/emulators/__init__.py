"""Emulators of cloud services: each with two back ends where both exist."""
