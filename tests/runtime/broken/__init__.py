"""A project in which everything is wrong that can be told before anything runs."""
