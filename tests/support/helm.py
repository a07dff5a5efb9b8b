"""What Helm makes of the chart in deploy/helm/pintally."""

import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tests.support.chart import CHART
from tests.support.programs import helm

Document = dict[str, Any]
EXAMPLES = sorted(path.stem for path in (CHART / "ci").glob("*.yaml"))
NAMESPACE = "counting-pins"


def ask(*arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, timeout=120, check=False)


def example(name: str) -> Path:
    return CHART / "ci" / f"{name}.yaml"


@cache
def rendered(name: str) -> str:
    """All documents of a release named `pins`, with the values of a file in the chart's ci/."""
    return template(example(name))


def template(*values: Path, chart: Path = CHART) -> str:
    files = [part for path in values for part in ("--values", path)]
    done = ask("template", "pins", chart, "--namespace", NAMESPACE, *files)
    assert done.returncode == 0, done.stderr
    return done.stdout


def documents(name: str, kind: str | None = None) -> list[Document]:
    """Those of the kind, or all."""
    made = [document for document in yaml.safe_load_all(rendered(name)) if document]
    return [document for document in made if kind in (None, document["kind"])]


def pods(name: str) -> Iterator[tuple[Document, Document]]:
    """Each document that starts pods, and the template of these."""
    for document in documents(name):
        if "template" in document.get("spec", {}):
            yield document, document["spec"]["template"]


def containers(pod: Document) -> list[Document]:
    spec = pod["spec"]
    return [*spec.get("initContainers", []), *spec["containers"]]


def environment(container: Document) -> dict[str, Any]:
    """Values of the variables that have one; where the others get theirs from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container["env"]}


def selected(name: str, selector: Document) -> list[Document]:
    """The templates of pods with these labels."""
    return [pod for _, pod in pods(name) if selector.items() <= pod["metadata"]["labels"].items()]
