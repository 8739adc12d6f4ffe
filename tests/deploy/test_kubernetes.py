"""deploy/k8s: valid where Kubernetes would accept it, and as strict as it can ask pods to be."""

from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from tests.deploy.units import (
    BASE,
    ROOT,
    SERVICES,
    Document,
    container_of,
    data_of,
    manifests,
    of_kind,
    pod_of,
)

VERSIONS = ("1.34", "1.37")
WORKLOADS = [
    pytest.param(each, id=each["metadata"]["name"]) for each in of_kind("Deployment", "Job")
]
DEPLOYMENTS = [pytest.param(each, id=each["metadata"]["name"]) for each in of_kind("Deployment")]
every_pod = pytest.mark.parametrize("workload", WORKLOADS)
every_service = pytest.mark.parametrize("workload", DEPLOYMENTS)
COMPONENT = "app.kubernetes.io/component"


def name_of(document: Document) -> str:
    return str(document["metadata"]["name"])


def labels_of(workload: Document) -> Document:
    """The labels of its pods."""
    labels: Document = workload["spec"]["template"]["metadata"]["labels"]
    return labels


def pods_with(selector: Document) -> list[str]:
    """The workloads whose pods have the labels."""
    wanted = selector.get("matchLabels", {}).items()
    return [
        name_of(each) for each in of_kind("Deployment", "Job") if wanted <= labels_of(each).items()
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    "document", manifests(), ids=lambda each: f"{each['kind']}-{each['metadata']['name']}"
)
def test_every_document_is_valid(document: Document, version: str) -> None:
    kubernetes_validate.validate(document, version, strict=True)


def test_every_file_is_used() -> None:
    written = yaml.safe_load((BASE / "kustomization.yaml").read_text())
    named = {*written["resources"], *(patch["path"] for patch in written["patches"])}
    assert {path.name for path in BASE.glob("*.yaml")} == (
        {name for name in named if name.endswith(".yaml")} | {"kustomization.yaml"}
    )


def test_the_namespace_admits_only_restricted_pods() -> None:
    (namespace,) = of_kind("Namespace")
    labels = namespace["metadata"]["labels"]
    for mode in ("enforce", "audit", "warn"):
        assert labels[f"pod-security.kubernetes.io/{mode}"] == "restricted"
    assert all(
        each["metadata"]["namespace"] == name_of(namespace)
        for each in manifests()
        if each is not namespace
    )


@every_pod
def test_its_pod_is_restricted(workload: Document) -> None:
    pod, container = pod_of(workload), container_of(workload)
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] > 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    kinds = {kind for volume in pod["volumes"] for kind in volume if kind != "name"}
    assert kinds <= {"secret", "configMap", "emptyDir"}
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & set(pod)


@every_pod
def test_its_pod_has_no_way_to_the_cluster(workload: Document) -> None:
    pod = pod_of(workload)
    (account,) = of_kind("ServiceAccount")
    assert pod["serviceAccountName"] == name_of(account)
    assert pod["automountServiceAccountToken"] is account["automountServiceAccountToken"] is False
    assert pod["enableServiceLinks"] is False


@every_pod
def test_its_user_is_the_image_s(workload: Document) -> None:
    context = pod_of(workload)["securityContext"]
    assert (
        f"USER {context['runAsUser']}:{context['runAsGroup']}\n"
        in (ROOT / "Dockerfile").read_text()
    )


@every_pod
def test_its_memory_is_its_own_and_its_cpu_not_cut(workload: Document) -> None:
    resources = container_of(workload)["resources"]
    assert resources["limits"] == {"memory": resources["requests"]["memory"]}
    assert "cpu" in resources["requests"]


@every_pod
def test_its_files_are_mounted_where_they_are_read(workload: Document) -> None:
    container = container_of(workload)
    volumes = {volume["name"] for volume in pod_of(workload)["volumes"]}
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == volumes
    assert all(mount["readOnly"] for mount in mounts.values())
    read = [each["value"] for each in container["env"] if each["name"].endswith("_FILE")]
    read += [word for word in container["args"] if word.startswith("/")]
    for path in read:
        assert path in mounts or str(Path(path).parent) in mounts


@every_service
def test_its_selectors_find_its_pods_alone(workload: Document) -> None:
    name = name_of(workload)
    (service,) = [each for each in of_kind("Service") if name_of(each) == name]
    (budget,) = [each for each in of_kind("PodDisruptionBudget") if name_of(each) == name]
    assert pods_with(workload["spec"]["selector"]) == [name]
    assert pods_with({"matchLabels": service["spec"]["selector"]}) == [name]
    assert pods_with(budget["spec"]["selector"]) == [name]
    for constraint in pod_of(workload)["topologySpreadConstraints"]:
        assert constraint["labelSelector"]["matchLabels"].items() <= labels_of(workload).items()
        assert COMPONENT in constraint["matchLabelKeys"]


@every_service
def test_its_service_and_its_scrape_lead_to_its_ports(workload: Document) -> None:
    ports = {port["name"]: port["containerPort"] for port in container_of(workload)["ports"]}
    (service,) = [each for each in of_kind("Service") if name_of(each) == name_of(workload)]
    (port,) = service["spec"]["ports"]
    assert port == {"name": "http", "port": ports["http"], "targetPort": "http"}
    annotations = workload["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])


@every_service
def test_only_what_it_does_itself_restarts_it(workload: Document) -> None:
    container = container_of(workload)
    asked = {
        kind: container[f"{kind}Probe"]["httpGet"] for kind in ("startup", "liveness", "readiness")
    }
    assert asked == {
        "startup": {"path": "/livez", "port": "metrics"},
        "liveness": {"path": "/livez", "port": "metrics"},
        "readiness": {"path": "/readyz", "port": "metrics"},
    }


def test_only_whoever_moves_no_state_surges() -> None:
    rolling = {
        name_of(each): each["spec"]["strategy"]["rollingUpdate"] for each in of_kind("Deployment")
    }
    slow = {"maxSurge": 0, "maxUnavailable": 1}
    assert rolling == {
        "ingest": {"maxSurge": 1, "maxUnavailable": 0},
        "scoring": slow,
        "alerts": slow,
    }


def test_nothing_is_open_that_no_policy_names() -> None:
    policies = {name_of(each): each["spec"] for each in of_kind("NetworkPolicy")}
    closed = policies.pop("nothing-else")
    assert closed == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    everybody = {*SERVICES, "migrate", "publish"}
    assert {name: set(pods_with(spec["podSelector"])) for name, spec in policies.items()} == {
        "names-kafka-and-postgresql": everybody,
        "clients": everybody,
        "monitoring": everybody,
        "deliveries": {"alerts"},
    }
    named = {port["name"] for each in of_kind("Deployment") for port in container_of(each)["ports"]}
    for spec in policies.values():
        for rule in spec.get("ingress", []):
            assert {port["port"] for port in rule["ports"]} <= named
            assert all("namespaceSelector" in each for each in rule["from"])


def test_the_whole_configuration_is_published() -> None:
    written = {path.name: path.read_text() for path in (ROOT / "config").glob("*.yaml")}
    del written["kustomization.yaml"]
    assert data_of("configuration") == written
