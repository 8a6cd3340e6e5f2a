"""A small project whose datasets tell what they were made from."""
