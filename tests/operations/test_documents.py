"""docs/operations.md and the alert rules name what the code has, all of it and nothing else."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import Info
from prometheus_client.metrics import MetricWrapperBase

from shared import metrics

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
DECLARED = [each for each in vars(metrics).values() if isinstance(each, MetricWrapperBase)]
PARTS = r"(_bucket|_count|_sum)?$"


def name_of(metric: MetricWrapperBase) -> str:
    """As it stands in what Prometheus gets."""
    ending = {"counter": "_total", "info": "_info"}.get(str(metric._type), "")
    return f"{metric._name}{ending}"


def row(metric: MetricWrapperBase) -> str:
    labels = ["version"] if isinstance(metric, Info) else list(metric._labelnames)
    shown = ", ".join(f"`{label}`" for label in labels)
    return f"| `{name_of(metric)}` | {metric._type} | {shown} | {metric._documentation} |"


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_the_table_has_every_metric_as_it_is_declared() -> None:
    wanted = [row(metric) for metric in DECLARED]
    found = re.findall(r"^\| `myaku_.*$", DOCUMENT, re.MULTILINE)
    assert found == wanted, "write this table:\n" + "\n".join(wanted)


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    sections = re.findall(r"^### (Myaku\w+)$", DOCUMENT, re.MULTILINE)
    assert sections == [rule["alert"] for rule in rules()]
    for rule in rules():
        anchor = f"docs/operations.md#{rule['alert'].lower()}"
        assert rule["annotations"]["runbook"] == anchor
        assert rule["labels"]["severity"] in ("page", "ticket")


def test_rules_and_document_name_only_metrics_that_there_are() -> None:
    known = {name_of(metric) for metric in DECLARED} | {"myaku_notifications_"}
    text = RULES.read_text(encoding="utf-8") + DOCUMENT
    named = {re.sub(PARTS, "", name) for name in re.findall(r"myaku_[a-z_]+", text)}
    assert named <= known


@pytest.mark.parametrize(
    "arguments",
    [("check", "rules", "rules.yml"), ("check", "config", "prometheus.yml"),
     ("test", "rules", "rules_test.yml")],
    ids=" ".join,
)  # fmt: skip
def test_prometheus_itself_accepts_the_rules(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool, which comes with Prometheus, is not on the path")
    done = subprocess.run(
        [promtool, *arguments], cwd=RULES.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
