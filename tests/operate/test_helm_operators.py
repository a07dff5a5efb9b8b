"""What the chart makes for Prometheus' operator and for KEDA is valid by the schemas of their own modules."""

from copy import deepcopy
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.operate.test_helm import OF_OPERATORS
from tests.support.helm import EXAMPLES, documents
from tests.support.operators import schema_of

KINDS = ("PodMonitor", "ServiceMonitor", "PrometheusRule", "ScaledObject")


def errors(document: dict[str, Any]) -> list[str]:
    schema = schema_of(document["kind"], document["apiVersion"].partition("/")[2])
    return [f"{error.json_path}: {error.message}" for error in Draft202012Validator(schema).iter_errors(document)]


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_document_of_an_operator_is_valid_by_its_schema(name: str) -> None:
    of_operators = [made for made in documents(name) if made["apiVersion"] in OF_OPERATORS]
    assert {made["kind"] for made in of_operators} <= set(KINDS)
    assert [error for made in of_operators for error in errors(made)] == []


def test_the_example_of_all_has_a_document_of_each() -> None:
    assert {made["kind"] for made in documents("all") if made["apiVersion"] in OF_OPERATORS} == set(KINDS)


BROKEN: dict[str, tuple[tuple[str | int, ...], Any]] = {
    "PodMonitor": (("spec", "podMetricsEndpoints", 0, "intervall"), "15s"),
    "ServiceMonitor": (("spec", "endpoints", 0, "interval"), "15 seconds"),
    "PrometheusRule": (("spec", "groups", 0, "rules", 0, "for"), "soon"),
    "ScaledObject": (("spec", "triggers", 0, "metadata"), {"threshold": 5}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_schemas_refuse_a_field_that_is_misspelt_or_of_another_type(kind: str) -> None:
    [document] = documents("all", kind)
    broken, (path, value) = deepcopy(document), BROKEN[kind]
    place: Any = broken
    for part in path[:-1]:
        place = place[part]
    place[path[-1]] = value
    assert len(errors(broken)) == 1
