"""Structured outputs for a whole dataset with Ray Data: resumable, and rows that fail say why.

Every row has a prompt and a schema of its own. Interrupt it and start it again with the same --output: it
goes on where it stopped. Needs structgen[ray,hf].
"""

import argparse
import json
import os
import tempfile

os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")

import jsonschema
import ray

from structgen.integrations.ray import generate, read_rows
from structgen.testing import tiny_model

COLOUR = {
    "type": "object",
    "properties": {"name": {"enum": ["red", "blue"]}},
    "required": ["name"],
    "additionalProperties": False,
}
SIZES = {"type": "array", "items": {"type": "integer", "minimum": 0}, "minItems": 1, "maxItems": 3}
# No text is both: this row fails, and the others go on.
WRONG = {"allOf": [{"type": "string"}, {"type": "integer"}]}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=12, help="default: %(default)s")
    parser.add_argument("--workers", type=int, default=1, help="default: %(default)s")
    parser.add_argument("--address", help="of a Ray cluster (default: a local one is started)")
    parser.add_argument("--output", help="default: a temporary folder")
    options = parser.parse_args()

    schemas = [SIZES if i % 2 else COLOUR for i in range(options.rows - 1)] + [WRONG]
    prompts = [{"id": i, "prompt": f"Item {i} as JSON:\n", "schema": s} for i, s in enumerate(schemas)]
    output = options.output or tempfile.mkdtemp(prefix="ray-batch-")

    ray.init(
        options.address,
        log_to_driver=False,
        logging_level="ERROR",
        include_dashboard=False,
        ignore_reinit_error=True,
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    dataset = ray.data.from_items(
        [
            {**row, "schema": json.dumps({"json_schema": row["schema"], "whitespace": "compact"})}
            for row in prompts
        ]
    )
    summary = generate(
        dataset,
        output,
        model=tiny_model.load,
        constraint_column="schema",
        max_tokens=60,
        batch_size=4,
        workers=options.workers,
    )
    ray.shutdown()

    for row in sorted(read_rows(output), key=lambda row: row["id"]):
        if row["error"] is None:
            jsonschema.validate(json.loads(row["text"]), schemas[row["id"]])
            print(f"{row['id']:3}  {row['text']!r}")
        else:
            print(f"{row['id']:3}  {row['error_type']}: {row['error']}")
    print(f"{summary.succeeded} succeeded, {summary.failed} failed, {summary.skipped} were there; {output}")


if __name__ == "__main__":
    main()
