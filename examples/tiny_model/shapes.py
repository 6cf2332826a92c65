"""The JSON documents of the corpus: one function per kind, each returning a fresh value."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import lexicon as lx

Value = Any


def _maybe(rng: random.Random, members: dict[str, Value], drop: float = 0.25) -> dict[str, Value]:
    """Keep the first member and each later one with probability ``1 - drop``; the order stays."""
    return {key: value for i, (key, value) in enumerate(members.items()) if i == 0 or rng.random() >= drop}


def _money(rng: random.Random) -> float:
    return round(rng.choice((rng.uniform(0.5, 20), rng.uniform(10, 200), rng.uniform(100, 5000))), 2)


def _address(rng: random.Random) -> dict[str, Value]:
    city, country, code, _, _ = rng.choice(lx.CITIES)
    return _maybe(
        rng,
        {
            "street": f"{rng.randint(1, 250)} {rng.choice(lx.STREETS)}",
            "city": city,
            rng.choice(("postal_code", "zip")): str(rng.randint(1000, 99999)),
            "country": rng.choice((country, code)),
        },
        0.15,
    )


def invoice(rng: random.Random) -> Value:
    """An invoice whose totals add up."""
    items, total = [], 0.0
    for _ in range(rng.randint(1, 5)):
        quantity, price = rng.randint(1, 12), _money(rng)
        total += quantity * price
        items.append(
            _maybe(
                rng,
                {
                    rng.choice(
                        ("description", "description", "name", "product")
                    ): f"{rng.choice(lx.ADJECTIVES)} {rng.choice(lx.NOUNS)}".capitalize(),
                    "quantity": quantity,
                    rng.choice(("unit_price", "price")): price,
                    rng.choice(("amount", "total")): round(quantity * price, 2),
                },
                0.1,
            )
        )
    name = lx.full_name(rng)
    rate = rng.choice((0.0, 0.05, 0.07, 0.19, 0.2, 0.25))
    number = f"{rng.choice(('INV-', 'INV-', 'R', ''))}{rng.randint(2015, 2026)}-{rng.randint(1, 9999):04d}"
    return _maybe(
        rng,
        {
            rng.choice(("invoice_number", "invoice_id", "number", "id")): number,
            "date": lx.date(rng),
            "due_date": lx.date(rng),
            "customer": _maybe(
                rng, {"name": name, "email": lx.email(rng, name), "address": _address(rng)}, 0.2
            ),
            "currency": rng.choice(lx.CURRENCIES),
            rng.choice(("items", "items", "lines", "line_items")): items,
            "subtotal": round(total, 2),
            rng.choice(("tax_rate", "vat")): rate,
            "total": round(total * (1 + rate), 2),
            "paid": rng.random() < 0.5,
            "notes": rng.choice((None, lx.sentence(rng))),
        },
        0.15,
    )


def _position(rng: random.Random, lon: float, lat: float, digits: int) -> list[float]:
    return [round(lon + rng.gauss(0, 0.05), digits), round(lat + rng.gauss(0, 0.05), digits)]


def _geometry(rng: random.Random, lon: float, lat: float) -> dict[str, Value]:
    digits = rng.randint(1, 6)

    def line(least: int) -> list[list[float]]:
        return [_position(rng, lon, lat, digits) for _ in range(rng.randint(least, least + 3))]

    def ring() -> list[list[float]]:
        points = line(3)
        return [*points, points[0]]

    kind = rng.choice(("Point", "Point", "Point", "LineString", "Polygon", "MultiPoint", "MultiPolygon"))
    coordinates: Value = {
        "Point": lambda: _position(rng, lon, lat, digits),
        "LineString": lambda: line(2),
        "MultiPoint": lambda: line(1),
        "Polygon": lambda: [ring() for _ in range(rng.choice((1, 1, 2)))],
        "MultiPolygon": lambda: [[ring()] for _ in range(rng.randint(1, 2))],
    }[kind]()
    return {"type": kind, "coordinates": coordinates}


def geojson(rng: random.Random) -> Value:
    """A GeoJSON feature collection, sometimes a single feature or geometry."""
    features = []
    for _ in range(rng.randint(1, 4)):
        city, country, code, lon, lat = rng.choice(lx.CITIES)
        properties = _maybe(
            rng,
            {
                "name": rng.choice((city, city, f"{rng.choice(lx.ADJECTIVES)} {rng.choice(lx.NOUNS)}")),
                "country": rng.choice((country, code)),
                "population": rng.randint(200, 15_000_000),
                "capital": rng.random() < 0.5,
                "category": rng.choice(lx.NOUNS),
                "elevation": rng.randint(-5, 3000),
            },
            0.5,
        )
        feature = {"type": "Feature", "geometry": _geometry(rng, lon, lat), "properties": properties}
        if rng.random() < 0.3:
            feature = {"type": "Feature", "id": rng.randint(1, 999), **feature}
        features.append(feature)
    draw = rng.random()
    if draw < 0.75:
        return {"type": "FeatureCollection", "features": features}
    return features[0] if draw < 0.92 else features[0]["geometry"]


def _file_name(rng: random.Random) -> str:
    return f"{lx.slug(rng, rng.choice('-_'))}.{rng.choice(lx.EXTENSIONS)}"


def file_tree(rng: random.Random, depth: int = 0) -> Value:
    """A recursive tree of directories and files."""

    def tree(depth: int) -> dict[str, Value]:
        if depth == 0 or (depth < 4 and rng.random() < 0.4):
            node: dict[str, Value] = {"name": lx.slug(rng, "_"), "type": rng.choice(names)}
            node["children"] = [tree(depth + 1) for _ in range(rng.randint(0 if depth else 1, 3))]
            return node
        node = {"name": _file_name(rng), "type": "file"}
        if with_size:
            node["size"] = rng.randint(0, 10 ** rng.randint(2, 7))
        if with_time:
            node["modified"] = lx.timestamp(rng)
        return node

    names = (rng.choice(("directory", "directory", "folder", "dir")),)
    with_size, with_time = rng.random() < 0.7, rng.random() < 0.25
    return tree(depth)


def package_manifest(rng: random.Random) -> Value:
    """A package manifest in the manner of package.json."""
    name, author = lx.slug(rng), lx.full_name(rng)

    def dependencies() -> dict[str, str]:
        return {
            lx.slug(rng): f"{rng.choice(('^', '^', '~', '>=', ''))}{lx.version(rng)}"
            for _ in range(rng.randint(0, 5))
        }

    scripts = {
        v: f"{rng.choice(('node', 'python', 'make', 'npx'))} {_file_name(rng)}"
        for v in rng.sample(("build", "test", "lint", "start", "dev", "format"), rng.randint(1, 4))
    }
    return _maybe(
        rng,
        {
            "name": name,
            "version": lx.version(rng),
            "description": lx.sentence(rng),
            "main": rng.choice(("index.js", "src/index.js", "dist/main.js", f"{name}.py")),
            "keywords": rng.sample(lx.NOUNS, rng.randint(0, 4)),
            "author": rng.choice((author, {"name": author, "email": lx.email(rng, author)})),
            "license": rng.choice(lx.LICENSES),
            "private": rng.random() < 0.5,
            "repository": {"type": "git", "url": lx.url(rng)},
            "scripts": scripts,
            "dependencies": dependencies(),
            "devDependencies": dependencies(),
            "engines": {"node": f">={rng.randint(14, 24)}"},
        },
        0.3,
    )


def person(rng: random.Random) -> Value:
    """A person with contact data."""
    name = lx.full_name(rng)
    first, last = name.split(" ", 1)
    names = {"name": name} if rng.random() < 0.6 else {"first_name": first, "last_name": last}
    return names | _maybe(
        rng,
        {
            "age": rng.randint(0, 99),
            "email": lx.email(rng, name),
            "phone": f"+{rng.randint(1, 99)} {rng.randint(100, 999)} {rng.randint(100000, 9999999)}",
            rng.choice(("birth_date", "birthday", "date_of_birth")): lx.date(rng),
            "married": rng.random() < 0.5,
            "height": round(rng.uniform(0.5, 2.1), 2),
            rng.choice(("job", "occupation", "role")): rng.choice(lx.JOBS),
            "address": _address(rng),
            rng.choice(("hobbies", "skills", "languages")): rng.sample(lx.NOUNS, rng.randint(0, 4)),
            rng.choice(("children", "friends")): [
                {"name": rng.choice(lx.FIRST_NAMES), "age": rng.randint(0, 60)}
                for _ in range(rng.randint(0, 2))
            ],
        },
        0.45,
    )


def config(rng: random.Random) -> Value:
    """An application's configuration: nested sections of flags, numbers and names."""
    options: dict[str, Callable[[], Value]] = {
        "enabled": lambda: rng.random() < 0.5,
        "debug": lambda: rng.random() < 0.5,
        "host": lambda: rng.choice(("localhost", "0.0.0.0", "db.example.com", "10.0.0.7")),
        "port": lambda: rng.choice((80, 443, 3000, 5432, 6379, 8080, 9000)),
        "timeout": lambda: rng.choice((5, 10, 30, 60, 0.5, 2.5)),
        "retries": lambda: rng.randint(0, 10),
        "level": lambda: rng.choice(("debug", "info", "warning", "error")),
        "path": lambda: f"/{rng.choice(('var', 'etc', 'opt', 'home'))}/{lx.slug(rng)}",
        "url": lambda: lx.url(rng),
        "user": lambda: rng.choice(("admin", "root", "guest", lx.slug(rng, "_"))),
        "password": lambda: rng.choice((None, lx.hex_id(rng))),
        "max_size": lambda: 2 ** rng.randint(4, 20),
        "mode": lambda: rng.choice(("auto", "manual", "fast", "safe")),
        "theme": lambda: rng.choice(("dark", "light")),
        "language": lambda: rng.choice(lx.LANGUAGES),
        "tags": lambda: rng.sample(lx.NOUNS, rng.randint(0, 4)),
        "ratio": lambda: round(rng.random(), 3),
        "workers": lambda: rng.choice((1, 2, 4, 8, 16)),
        "learning_rate": lambda: rng.choice((0.1, 0.01, 0.001, 3e-05, 1e-4)),
        "seed": lambda: rng.randint(0, 9999),
    }

    def section(depth: int) -> dict[str, Value]:
        found = {key: options[key]() for key in rng.sample(sorted(options), rng.randint(1, 6))}
        if depth < 2:
            for _ in range(rng.randint(0, 3 - depth)):
                found[
                    rng.choice(
                        ("server", "database", "logging", "cache", "ui", "model", "auth", lx.slug(rng, "_"))
                    )
                ] = section(depth + 1)
        return found

    return section(0)


def _record(rng: random.Random) -> dict[str, Value]:
    return _maybe(
        rng,
        {
            "id": rng.choice((rng.randint(1, 10_000), lx.uuid(rng), lx.hex_id(rng))),
            rng.choice(("name", "title", "label")): rng.choice(
                (lx.full_name(rng), lx.sentence(rng), lx.slug(rng))
            ),
            "status": rng.choice(lx.STATUSES),
            rng.choice(("created_at", "updated_at", "timestamp")): lx.timestamp(rng),
            rng.choice(("price", "score", "amount")): _money(rng),
            "tags": rng.sample(lx.NOUNS, rng.randint(0, 3)),
            "url": lx.url(rng),
            "owner": rng.choice((None, {"id": rng.randint(1, 500), "name": lx.full_name(rng)})),
        },
        0.4,
    )


def api_response(rng: random.Random) -> Value:
    """A paged list, a single record, or an error, as an HTTP interface returns it."""
    if rng.random() < 0.2:
        code = rng.choice((400, 401, 403, 404, 409, 422, 429, 500, 503))
        return {"error": _maybe(rng, {"code": code, "message": lx.sentence(rng), "request_id": lx.uuid(rng)})}
    rows = [_record(rng) for _ in range(rng.randint(0, 3))]
    return _maybe(
        rng,
        {
            rng.choice(("data", "results", "items")): rows,
            rng.choice(("total", "count")): rng.randint(len(rows), 500),
            "page": rng.randint(1, 20),
            "per_page": rng.choice((10, 20, 50, 100)),
            "next": rng.choice((None, lx.url(rng))),
            "success": True,
        },
        0.3,
    )


def product(rng: random.Random) -> Value:
    """An article of a shop."""
    return _maybe(
        rng,
        {
            "sku": f"{rng.choice('ABCDEFGH')}{rng.choice('KLMNPQ')}-{rng.randint(100, 99999)}",
            "name": f"{rng.choice(lx.ADJECTIVES)} {rng.choice(lx.NOUNS)}".title(),
            "description": lx.text(rng),
            "price": rng.choice(
                (_money(rng), {"amount": _money(rng), "currency": rng.choice(lx.CURRENCIES)})
            ),
            "in_stock": rng.random() < 0.7,
            "colors": rng.sample(lx.COLORS, rng.randint(0, 3)),
            "weight": {"value": round(rng.uniform(0.1, 50), 1), "unit": rng.choice(lx.UNITS)},
            "rating": round(rng.uniform(1, 5), 1),
            "reviews": [
                {"user": rng.choice(lx.FIRST_NAMES), "stars": rng.randint(1, 5), "text": lx.sentence(rng)}
                for _ in range(rng.randint(0, 2))
            ],
        },
    )


def event(rng: random.Random) -> Value:
    """A log event or a calendar entry."""
    if rng.random() < 0.5:
        return _maybe(
            rng,
            {
                "timestamp": lx.timestamp(rng),
                "level": rng.choice(("DEBUG", "INFO", "WARN", "ERROR")),
                "message": lx.text(rng),
                "logger": f"{rng.choice(lx.NOUNS)}.{rng.choice(lx.NOUNS)}",
                "line": rng.randint(1, 900),
                "thread": rng.randint(1, 32),
                "trace_id": lx.hex_id(rng, 16),
            },
        )
    return _maybe(
        rng,
        {
            "title": lx.sentence(rng),
            "start": lx.timestamp(rng),
            "end": lx.timestamp(rng),
            "location": rng.choice((rng.choice(lx.CITIES)[0], None)),
            "all_day": rng.random() < 0.3,
            "attendees": [lx.email(rng) for _ in range(rng.randint(0, 3))],
            "priority": rng.choice(("low", "high")),
        },
    )


def measurements(rng: random.Random) -> Value:
    """Numbers: a time series, a matrix, or statistics."""
    draw = rng.random()
    if draw < 0.4:
        unit, base = rng.choice(lx.UNITS), rng.uniform(-20, 120)
        readings = [
            {"time": lx.timestamp(rng), "value": round(base + rng.gauss(0, 3), 2)}
            for _ in range(rng.randint(1, 6))
        ]
        return {"sensor": lx.slug(rng), "unit": unit, "readings": readings}
    if draw < 0.7:
        width = rng.randint(1, 5)
        digits = rng.choice((0, 1, 3))
        return [
            [round(rng.uniform(-99, 99), digits or None) for _ in range(width)]
            for _ in range(rng.randint(1, 5))
        ]
    return {
        "count": rng.randint(1, 999),
        "mean": round(rng.gauss(0, 40), 3),
        "min": -rng.randint(0, 99),
        "max": rng.randint(0, 99),
        "p": rng.choice((1e-05, 2.5e-07, 0.05, 0.5, 1.2e10)),
    }


def recipe(rng: random.Random) -> Value:
    """A recipe with ingredients and steps."""
    return _maybe(
        rng,
        {
            "title": f"{rng.choice(lx.ADJECTIVES)} {rng.choice(lx.NOUNS)} soup".capitalize(),
            "servings": rng.randint(1, 8),
            "ingredients": [
                {
                    "name": rng.choice(lx.NOUNS),
                    "amount": rng.choice((1, 2, 3, 0.5, 100, 250)),
                    "unit": rng.choice(lx.UNITS),
                }
                for _ in range(rng.randint(1, 5))
            ],
            "steps": [lx.sentence(rng) for _ in range(rng.randint(1, 4))],
            "vegan": rng.random() < 0.5,
        },
        0.1,
    )


def scalar(rng: random.Random) -> Value:
    """A random value that is neither an object nor an array."""
    return rng.choice(
        (
            lambda: rng.randint(-1000, 100_000),
            lambda: rng.randint(0, 10),
            lambda: round(rng.gauss(0, 100), 2),
            lambda: rng.random() < 0.5,
            lambda: None,
            lambda: lx.sentence(rng),
            lambda: rng.choice(lx.NOUNS),
            lambda: lx.text(rng),
            lambda: lx.full_name(rng),
            lambda: lx.date(rng),
            lambda: lx.url(rng),
            lambda: lx.uuid(rng),
            lambda: "",
        )
    )()


def anything(rng: random.Random) -> Value:
    """A random tree with random keys."""

    def tree(depth: int) -> Value:
        draw = rng.random()
        if depth > 3 or (depth and draw < 0.55):
            return scalar(rng)
        if draw < 0.8:
            return {lx.slug(rng, joint): tree(depth + 1) for _ in range(rng.randint(0, 6 - depth))}
        return [tree(depth + 1) for _ in range(rng.randint(0, 5 - depth))]

    joint = rng.choice(("_", "_", "-", " "))
    return tree(0)


def schema_of(value: Value, rng: random.Random) -> dict[str, Value]:
    """A JSON Schema that describes `value`, from its first array items; `required` lists some keys."""
    if isinstance(value, dict):
        schema: dict[str, Value] = {"type": "object"}
        schema["properties"] = {key: schema_of(item, rng) for key, item in value.items()}
        if value and rng.random() < 0.7:
            schema["required"] = [key for key in value if rng.random() < 0.8] or [next(iter(value))]
        return schema
    if isinstance(value, list):
        return {"type": "array", "items": schema_of(value[0], rng)} if value else {"type": "array"}
    if isinstance(value, bool):
        return {"type": "boolean"}
    if value is None:
        return {"type": "null"}
    if isinstance(value, str):
        if value in lx.STATUSES:
            return {"enum": sorted({value, *rng.sample(lx.STATUSES, 2)})}
        return {"type": "string"} | ({"minLength": 1} if rng.random() < 0.1 else {})
    schema = {"type": "integer" if isinstance(value, int) else "number"}
    return schema | ({"minimum": 0} if value >= 0 and rng.random() < 0.2 else {})


#: kind -> (function, weight, what a prompt calls it)
KINDS: dict[str, tuple[Callable[[random.Random], Value], float, tuple[str, ...]]] = {
    "invoice": (invoice, 3, ("Invoice", "an invoice", "a bill for a customer")),
    "geojson": (geojson, 2.5, ("GeoJSON", "a GeoJSON feature collection", "places on a map")),
    "file_tree": (file_tree, 2.5, ("File tree", "a file tree", "a directory with its files")),
    "package_manifest": (package_manifest, 2.5, ("Package manifest", "a package manifest", "package.json")),
    "person": (person, 3, ("Person", "a person", "a user profile")),
    "config": (config, 2.5, ("Config", "a configuration", "settings of an application")),
    "api_response": (api_response, 2.5, ("API response", "an API response", "the answer of a server")),
    "product": (product, 2, ("Product", "a product", "an article in a shop")),
    "event": (event, 1.5, ("Event", "an event", "a log entry")),
    "measurements": (measurements, 1, ("Measurements", "measurements", "numbers from a sensor")),
    "recipe": (recipe, 1, ("Recipe", "a recipe", "a meal to cook")),
    "anything": (anything, 3, ("Data", "some data", "an object with any keys")),
}
