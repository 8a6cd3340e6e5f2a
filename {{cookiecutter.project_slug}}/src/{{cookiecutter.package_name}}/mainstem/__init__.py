"""Mainstem's runtime.

It does the I/O of a project's pipelines, so that their steps stay pure functions. Read it in this
order: `pipeline` (what a step is), `keys` (what a step depends on), `records` (the protocol in the
bucket), `runner` (local execution). `docs/protocol.md` of the template explains the protocol.
"""

__version__ = "0.1.0"
