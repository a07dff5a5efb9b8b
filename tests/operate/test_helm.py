"""The chart: Helm and the schemas of Kubernetes accept it, and its documents agree with each other and the program."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from pintally.cli import COMMANDS, load
from pintally.schemas.errors import FOR_A_PERSON, TRY_AGAIN
from pintally.schemas.metrics import SERVE
from pintally.streams.worker.process import STOP_SECONDS
from tests.support.helm import EXAMPLES, ask, containers, documents, environment, example, pods, rendered, selected
from tests.support.promql import metrics

OF_OPERATORS = {"keda.sh/v1alpha1", "monitoring.coreos.com/v1"}  # kinds that Kubernetes itself does not have
OLDEST, NEWEST = "1.31", "1.37"
PATHS = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_helm_finds_nothing_to_say(name: str) -> None:
    done = ask("lint", "--strict", example("least").parents[1], "--values", example(name))
    assert done.returncode == 0, done.stdout
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("version", [OLDEST, NEWEST])
@pytest.mark.parametrize("name", EXAMPLES)
def test_every_document_is_valid_by_the_schemas_of_kubernetes(name: str, version: str) -> None:
    of_kubernetes = [made for made in documents(name) if made["apiVersion"] not in OF_OPERATORS]
    assert "StatefulSet" in {made["kind"] for made in of_kubernetes}
    for document in of_kubernetes:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_schemas_refuse_a_field_that_kubernetes_does_not_have() -> None:
    [worker] = documents("least", "StatefulSet")
    worker["spec"]["template"]["spec"]["containers"][0]["readynessProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readynessProbe"):
        kubernetes_validate.validate(worker, NEWEST, strict=True)


@pytest.mark.parametrize("name", EXAMPLES)
def test_no_two_documents_have_one_name(name: str) -> None:
    names = [(made["kind"], made["metadata"]["name"]) for made in documents(name)]
    assert len(names) == len(set(names))


def test_every_part_is_in_the_example_of_all() -> None:
    made = [made["kind"] for made in documents("all")]
    assert sorted(made) == sorted([
        "StatefulSet", "Service", "PodDisruptionBudget", "Deployment", "Service", "Job", "ScaledObject", "PodMonitor",
        "ServiceMonitor", "PrometheusRule", "ConfigMap",
    ])  # fmt: skip
    assert {made["kind"] for made in documents("bare")} == {"StatefulSet", "Service", "PodMonitor"}


@pytest.mark.parametrize("name", EXAMPLES)
def test_every_pod_is_without_rights(name: str) -> None:
    found = list(pods(name))
    assert found
    for _, pod in found:
        spec = pod["spec"]
        assert (spec["automountServiceAccountToken"], spec["enableServiceLinks"]) == (False, False)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            own = container["securityContext"]
            assert (own["readOnlyRootFilesystem"], own["allowPrivilegeEscalation"]) == (True, False)
            assert own["capabilities"] == {"drop": ["ALL"]}
            mounts = {mount["name"]: mount for mount in container["volumeMounts"]}
            assert mounts["tmp"]["mountPath"] == "/tmp"
            assert mounts.keys() == {volume["name"] for volume in spec["volumes"]}


def test_the_user_is_that_of_the_image() -> None:
    image = (Path(__file__).parents[2] / "deploy" / "Dockerfile").read_text()
    users = {pod["spec"]["securityContext"]["runAsUser"] for _, pod in pods("all")}
    assert [f"useradd --uid {user} " in image for user in users] == [True]


@pytest.mark.parametrize("name", EXAMPLES)
def test_containers_run_commands_that_exist(name: str) -> None:
    for _, pod in pods(name):
        for container in containers(pod):
            command, *options = container["args"]
            assert command in COMMANDS
            assert set(options) <= {option for parameter in load(command).params for option in parameter.opts}
            assert "command" not in container  # the image's own copies the compiled loops first


@pytest.mark.parametrize("name", EXAMPLES)
def test_probes_ask_what_answers_and_only_livez_restarts(name: str) -> None:
    for owner, pod in pods(name):
        for container in containers(pod):
            probes = {probe: container[probe]["httpGet"] for probe in PATHS if probe in container}
            assert {probe: asked["path"] for probe, asked in probes.items()} == (
                PATHS if owner["kind"] != "Job" else {}
            )
            named = {port["name"] for port in container.get("ports", [])}
            assert {asked["port"] for asked in probes.values()} <= named


def test_a_worker_that_is_busy_for_half_a_minute_is_not_restarted() -> None:
    for kind in ("StatefulSet", "Deployment"):
        [owner] = documents("least", kind)
        [container] = owner["spec"]["template"]["spec"]["containers"]
        liveness = container["livenessProbe"]
        assert liveness["timeoutSeconds"] >= 5
        assert liveness["periodSeconds"] * (liveness["failureThreshold"] - 1) >= 30


@pytest.mark.parametrize("name", EXAMPLES)
def test_workers_are_static_members_with_the_time_to_end(name: str) -> None:
    [workers] = documents(name, "StatefulSet")
    spec = workers["spec"]["template"]["spec"]
    [worker] = spec["containers"]
    given = environment(worker)
    assert given["PINTALLY_KAFKA_GROUP_INSTANCE_ID"] == {"fieldRef": {"fieldPath": "metadata.name"}}
    assert spec["terminationGracePeriodSeconds"] >= STOP_SECONDS + 5
    assert float(given["PINTALLY_SESSION_TIMEOUT_SECONDS"]) > STOP_SECONDS
    assert workers["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    assert ("replicas" in workers["spec"]) == (not documents(name, "ScaledObject"))


@pytest.mark.parametrize("name", EXAMPLES)
def test_services_and_budgets_find_pods_and_ports(name: str) -> None:
    for service in documents(name, "Service"):
        [pod] = selected(name, service["spec"]["selector"])
        named = {port["name"] for container in containers(pod) for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= named
    for budget in documents(name, "PodDisruptionBudget"):
        assert len(selected(name, budget["spec"]["selector"]["matchLabels"])) == 1
    for owner, pod in pods(name):
        if "selector" in owner["spec"]:
            assert selected(name, owner["spec"]["selector"]["matchLabels"]) == [pod]
    [workers] = documents(name, "StatefulSet")
    assert workers["spec"]["serviceName"] in {service["metadata"]["name"] for service in documents(name, "Service")}


def test_the_page_knows_the_address_of_all_workers() -> None:
    [page] = documents("all", "Deployment")
    [container] = page["spec"]["template"]["spec"]["containers"]
    name, port = environment(container)["PINTALLY_SERVE_WORKERS"].split(":")
    [service] = [made for made in documents("all", "Service") if made["metadata"]["name"] == name]
    [workers] = documents("all", "StatefulSet")
    [worker] = workers["spec"]["template"]["spec"]["containers"]
    assert (service["spec"]["clusterIP"], service["spec"]["publishNotReadyAddresses"]) == ("None", True)
    assert {port, environment(worker)["PINTALLY_METRICS_PORT"]} == {str(worker["ports"][0]["containerPort"])}
    assert environment(worker)["PINTALLY_METRICS_HOST"] == "0.0.0.0"


def test_topics_and_tables_are_made_first_and_a_person_is_not_asked_twice() -> None:
    [job] = documents("all", "Job")
    assert set(job["metadata"]["annotations"]["helm.sh/hook"].split(",")) == {"pre-install", "pre-upgrade"}
    codes = [rule for rule in job["spec"]["podFailurePolicy"]["rules"] if "onExitCodes" in rule]
    assert [(rule["action"], rule["onExitCodes"]["values"]) for rule in codes] == [("FailJob", [FOR_A_PERSON])]
    assert TRY_AGAIN not in codes[0]["onExitCodes"]["values"]
    assert [each["args"][0] for each in containers(job["spec"]["template"])] == ["migrate", "users"]
    # A hook runs before everything else of the release, so it can read nothing of it.
    own = {made["metadata"]["name"] for made in documents("all") if made["kind"] in ("ConfigMap", "Secret")}
    assert [name for name in own if f"name: {name}" in yaml.safe_dump(job)] == []


def test_autoscaling_takes_the_workers_and_asks_for_a_metric_that_is_exposed() -> None:
    [scaled] = documents("all", "ScaledObject")
    [workers] = documents("all", "StatefulSet")
    target = scaled["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": workers["metadata"]["name"]}
    [trigger] = scaled["spec"]["triggers"]
    asked = metrics(trigger["metadata"]["query"])
    assert asked
    assert asked <= {metric.name for metric in SERVE}
    assert trigger["metadata"]["threshold"].isdecimal()
    assert "e+" not in rendered("all")
