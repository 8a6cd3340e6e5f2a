"""How fast Mainstem is, beside plain Polars and its peers: `nox -s bench`."""
