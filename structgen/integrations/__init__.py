"""Structured generation inside inference servers: one module per server, each needs that server installed."""
