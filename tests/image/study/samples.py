"""Nothing stands in for anything."""
