"""Front ends: each lowers one grammar language straight into calls of the core's ``Builder``."""
