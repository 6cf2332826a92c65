"""The commands of ``python -m jsonschemabench``: each module adds its own by ``add_parser(commands)``."""
