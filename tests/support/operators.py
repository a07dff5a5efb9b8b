"""Schemas of the kinds that Prometheus' operator and KEDA add to Kubernetes, as JSON Schemas that refuse other fields.

Kubernetes drops unknown fields of such documents without an error (structural schemas prune), so a field that is
misspelt would do nothing.
"""

from functools import cache
from typing import Any

import yaml

from tests.support.programs import operator_schemas

Schema = dict[str, Any]


@cache
def schema_of(kind: str, version: str) -> Schema:
    """Of `PodMonitor`, `v1`. Skips the test if there are no schemas; raises KeyError for a kind that is not there."""
    versions: dict[tuple[str, str], Schema] = {}
    for file in operator_schemas().glob("*.yaml"):
        made = yaml.safe_load(file.read_text())["spec"]
        versions |= {(made["names"]["kind"], each["name"]): each["schema"] for each in made["versions"]}
    schema: Schema = strict(versions[kind, version]["openAPIV3Schema"])
    return schema | {"required": ["apiVersion", "kind", "metadata", "spec"]}


def strict(schema: Any) -> Any:
    """The same without fields that it does not name, and with the words of Kubernetes that JSON Schema lacks."""
    if isinstance(schema, list):
        return [strict(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(value) for name, value in schema.items() if name != "properties"}
    if "properties" in schema:
        made["properties"] = {name: strict(value) for name, value in schema["properties"].items()}
        if "additionalProperties" not in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
            made["additionalProperties"] = False
    if schema.get("nullable") and "type" in made:
        made["type"] = [made["type"], "null"]
    return made
