"""Small tasks in five domains, each with a syntax, a predicate and a checker, made from a seed."""

from jsonschemabench.tasks.base import Domain, Task
from jsonschemabench.tasks.molecules import Molecules
from jsonschemabench.tasks.patterns import Patterns
from jsonschemabench.tasks.planning import Planning
from jsonschemabench.tasks.records import Records
from jsonschemabench.tasks.sql import Sql

__all__ = ["DOMAINS", "Domain", "Task"]

DOMAINS: dict[str, Domain] = {
    domain.name: domain for domain in (Sql(), Molecules(), Planning(), Patterns(), Records())
}
"""All domains by name."""
