"""A project whose every step is lazy."""
