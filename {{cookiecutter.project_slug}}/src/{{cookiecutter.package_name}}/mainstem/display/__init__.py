"""What a person sees. Each function gives text and, for commands with --json, the same as plain values."""
