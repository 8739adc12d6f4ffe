"""A wrong configuration is refused whole, with file, line and what was expected."""

import json
from pathlib import Path

import pytest

from shared.configuration import parse, revision, scoring_revision
from shared.configuration.files import PARTS, SHIPPED, read_document, shipped_parts
from shared.configuration.secrets import missing_secrets
from shared.runtime import UserError

FILES = {
    "product": 'time_zone: UTC\nevents:\n  active: ["*"]\n',
    "scorecards": """\
metrics:
  uses: {count: active, window: 28d}
  more: {change: uses, against: 28d}
  rate: {ratio: [uses, profile.seats]}
  nps: {latest: score, of: survey.answered, expires: 180d}
scorecards:
  - id: small
    when: {profile.size: S}
    dimensions:
      use:
        weight: 1
        measures:
          uses: {weight: 1, curve: [[0, 0], [9, 100]]}
  - id: others
    dimensions:
      use:
        weight: 1
        measures:
          rate: {weight: 1, curve: [[0, 0], [9, 100]]}
bands: {healthy: 70, watch: 50, at_risk: 30, critical: 0}
""",
    "alerts": """\
rules:
  - id: low_health
    title: Health is low
    kind: threshold
    for: 1h
    levels:
      - {severity: warning, trigger: 50, clear: 55}
      - {severity: critical, trigger: 30, clear: 35}
""",
    "routing": """\
fallback: cs@example.com
owner_chain: [profile.csm]
destinations:
  log: {type: log}
  hook: {type: webhook, url: "https://example.com", secret: "secret://HOOK"}
to: [log, hook]
""",
    "engagement": """\
usage: {of: active, window: 28d, full_days: 20, points: 60}
signals:
  awards: {of: award.entered, points: 5, cap: 20}
ranks:
  SS: {score: 90, usage_rate: 0.9, points: {awards: 5}}
  S: {score: 70}
  A: {score: 50}
  B: {score: 30}
  C: {score: 10}
""",
    "people": """\
people:
  - {id: ana, email: ana@example.com, manager: bo@example.com, out_of_office_until: "2026-08-14"}
  - {id: bo@example.com, active: false}
""",
    "matrix": """\
x: {title: How many, metric: uses, levels: [1, 5]}
y: {title: How well, metric: {latest: score, of: survey.answered}, levels: [7]}
actions:
  wait: {text: Wait.}
  sell: {text: Sell., upsell: true, otherwise: wait}
cells:
  - [{stage: starting}, {stage: starting}, {stage: growing}]
  - [{stage: starting}, {stage: growing, action: wait}, {stage: growing, action: sell}]
satisfaction: {metric: nps, at_least: 7}
""",
    "onboarding": """\
milestones:
  - {id: kickoff, title: We met, due: 7d}
  - {id: habit, title: They use it, due: 90d, reached: {metric: uses, at_least: 3}}
grace: 30d
late: 50
""",
    "success_map": """\
problems:
  - {id: no_goal, title: No goal, who: us, does: Ask.}
  - {id: no_data, title: No data, who: them, does: Send.}
""",
}


ROUTE = "to: [log]\nroutes: [{match: {rule: low_health}, "
WRONG_RULE = ROUTE.replace("low_health", "low_wealth") + "to: [log]}]"
TWICE = "  - {id: cy, email: ANA@example.com}\n"
WRONG_SEVERITY = "to: [log]\nroutes: [{match: {severity: [info, critcal]}, to: [log]}]"
MAIL = "{type: email, from: a@b.c, smtp: secret://S}"


def write(directory: Path, part: str = "", old: str = "", new: str = "") -> Path:
    for name, text in FILES.items():
        if name == part:
            assert old in text
            text = text.replace(old, new, 1)
        (directory / f"{name}.yaml").write_text(text, encoding="utf-8")
    return directory


def test_what_is_right_is_read(tmp_path: Path) -> None:
    document = read_document(write(tmp_path))
    configuration = parse(document)
    assert [card.id for card in configuration.scorecards.scorecards] == ["small", "others"]
    assert configuration.alerts.rules[0].hold == "1h"


def test_the_shipped_configuration_is_right() -> None:
    missing = [part for part in PARTS if not (SHIPPED / f"{part}.yaml").exists()]
    assert not missing
    parse(read_document(SHIPPED))


def test_a_revision_is_of_the_content_alone(tmp_path: Path) -> None:
    document = read_document(write(tmp_path))
    turned = dict(reversed(document.items()))
    assert revision(turned) == revision(document)
    assert scoring_revision({**document, "alerts": {}}) == scoring_revision(document)
    assert scoring_revision({**document, "product": {}}) != scoring_revision(document)


@pytest.mark.parametrize(
    ("part", "old", "new", "line", "problem"),
    [
        ("product", "UTC", "Mars/Base", 1, "'Mars/Base' is no time zone"),
        ("product", "time_zone", "timezone", 1, "unknown field `timezone`"),
        ("product", '["*"]', "7", 3, "Expected `array`, got `int`"),
        ("product", '["*"]', "[", 4, "not valid YAML"),
        ("scorecards", "count: active, window", "count: a, sum: b, window", 2, "exactly one of"),
        ("scorecards", "{count: active, window: 28d}", "{of: x}", 2, "exactly one of"),
        ("scorecards", ", window: 28d", "", 2, "a count metric needs 'window'"),
        ("scorecards", "window: 28d", "window: 28d, of: x", 2, "a count metric has no 'of'"),
        ("scorecards", "window: 28d", "window: 4w", 2, "'4w' is not a number of days"),
        ("scorecards", "window: 28d", "window: 121d", 2, "window is 1d to 120d, not 121d"),
        ("scorecards", "window: 28d", "window: 0d", 2, "window is 1d to 120d, not 0d"),
        ("scorecards", "window: 28d", "window: 28d, speed: 1", 2, "unknown field `speed`"),
        ("scorecards", "expires: 180d", "expires: 3651d", 5, "expires is 1d to 3650d"),
        ("scorecards", "change: uses", "change: nps", 3, "change names 'nps'"),
        ("scorecards", "against: 28d", "against: 93d", 3, "together at most 120d"),
        ("scorecards", "[uses, profile", "[usage, profile", 4, "ratio names 'usage'"),
        ("scorecards", "[uses, profile", "[more, profile", 4, "a ratio is of metrics"),
        ("scorecards", "change: uses", "rate: nps", 3, "rate names 'nps', which is none of: count"),
        ("scorecards", "change: uses, against: 28d", "open: key, of: a", 3, "needs 'closed_by'"),
        (
            "scorecards",
            "change: uses, against: 28d",
            "silence_risk: a, horizon: 366d",
            3,
            "to 365d",
        ),
        ("scorecards", "id: others", "id: small", 6, "two scorecards have the same id"),
        ("scorecards", "    when: {profile.size: S}\n", "", 7, "only the last scorecard"),
        ("scorecards", "id: others", "id: others\n    when: {profile.a: 1}", 14, "the default"),
        ("scorecards", "profile.size", "size", 8, "'when' names profile fields"),
        ("scorecards", "{profile.size: S}", "{onboarding: soon}", 8, "'soon' is no status"),
        ("product", "UTC\n", "UTC\nsignals: {ticket_burst: {window: 90d}}\n", 2, "most 120d"),
        ("product", "UTC\n", "UTC\nsignals: {ticket_burst: {window: 9}}\n", 2, "Expected `str`"),
        ("matrix", "levels: [1, 5]", "levels: [5, 1]", 1, "levels begin at ascending values"),
        ("matrix", "levels: [7]", "levels: [7, 8]", 6, "there are 2 rows of cells, not 3"),
        ("matrix", "metric: uses", "metric: usage", 1, "'usage' is no metric"),
        ("matrix", ", of: survey.answered", "", 2, "a latest metric needs 'of'"),
        ("matrix", "action: sell", "action: sel", 8, "'sel' is no action"),
        (
            "matrix",
            "{stage: growing, action: wait}, ",
            "",
            8,
            "2 cells in the row, not 3",
        ),
        ("matrix", "otherwise: wait", "otherwise: sell", 5, "which is no action but an upsell"),
        ("matrix", "upsell: true, ", "", 5, "only an upsell has an 'otherwise'"),
        ("matrix", "metric: nps", "metric: npx", 9, "'npx' is no metric"),
        ("onboarding", "id: habit", "id: kickoff", 1, "two milestones have the same id"),
        ("onboarding", "due: 7d", "due: 0d", 2, "due is 1d to 3650d, not 0d"),
        ("onboarding", "grace: 30d", "grace: 1m", 4, "grace: '1m' is not a number of days"),
        ("onboarding", "metric: uses", "metric: use", 3, "'use' is no metric"),
        ("onboarding", "metric: uses", "metric: {onboarding: score}", 3, "the onboarding itself"),
        ("success_map", "no_data", "no_goal", 1, "two problems have the same id"),
        ("scorecards", "          uses:", "          use:", 13, "'use' is no metric"),
        ("scorecards", "[[0, 0], [9", "[[9, 0], [9", 13, "go up in their first number"),
        ("scorecards", "[9, 100]", "[9, 101]", 13, "Expected `float` <= 100"),
        ("scorecards", "weight: 1", "weight: 0", 11, "Expected `float` > 0"),
        ("scorecards", "critical: 0", "critical: 1", 20, "down to 0"),
        ("scorecards", "watch: 50", "watch: 80", 20, "from the highest limit"),
        ("scorecards", "{count: active, window: 28d}", "{ranked_users: E}", 2, "enum value 'E'"),
        ("scorecards", "{count: active, w", "{ranked_users: A, w", 2, "has no 'window'"),
        ("engagement", "window: 28d", "window: 4w", 1, "'4w' is not a number of days"),
        ("engagement", "window: 28d", "window: 121d", 1, "window is 1d to 120d"),
        ("engagement", "full_days: 20", "full_days: 29", 1, "a window of 28d has no 29 days"),
        ("engagement", FILES["engagement"].splitlines()[0], "", 2, "ranks need 'usage'"),
        ("engagement", "  awards:", "  usage:", 3, "the usage rate's own points"),
        ("engagement", "cap: 20", "cap: 20, window: 0d", 3, "window is 1d to 120d, not 0d"),
        ("engagement", "points: 5,", "points: 0,", 3, "Expected `float` > 0"),
        ("engagement", "{awards: 5}", "{seminars: 5}", 5, "'seminars' is no engagement signal"),
        ("engagement", "S: {score: 70}", "S: {score: 91}", 6, "no more than the rank above"),
        ("engagement", "  C: {score: 10}", "", 4, "missing required field `C`"),
        ("engagement", "usage_rate: 0.9", "usage_rate: 1.9", 5, "Expected `float` <= 1"),
        ("alerts", "for: 1h", "for: 1 hour", 5, "for: '1 hour' is not a duration"),
        ("alerts", "clear: 55", "clear: 45", 7, "clear (45.0) must be above its trigger"),
        (
            "alerts",
            "trigger: 30, clear: 35",
            "trigger: 60, clear: 65",
            6,
            "levels go from mild to severe",
        ),
        ("alerts", "severity: critical", "severity: warning", 6, "levels go from mild to severe"),
        ("alerts", "kind: threshold", "kind: magic", 4, "Invalid enum value 'magic'"),
        ("routing", "to: [log, hook]", "to: [log, mail]", 6, "'mail' is no destination"),
        ("routing", "to: [log, hook]", "to: []", 6, "length >= 1"),
        ("routing", "[profile.csm]", "[csm]", 2, "owners are profile fields"),
        ("routing", ', secret: "secret://HOOK"', "", 5, "a webhook needs 'url' and 'secret'"),
        ("routing", "{type: log}", "{type: log, url: x}", 4, "a log destination has no 'url'"),
        ("routing", "secret://HOOK", "hunter2", 5, "a secret is named, never written here"),
        ("routing", "to: [log, hook]", "to: [log]\nfallback_to: [mail]", 7, "'mail' is no"),
        ("routing", "to: [log, hook]", ROUTE + "to: [crm]}]", 7, "'crm' is no destination"),
        ("routing", "to: [log, hook]", ROUTE.replace("rule", "role") + "to: [log]}]", 7, "'role'"),
        ("routing", "to: [log, hook]", WRONG_RULE, 7, "'low_wealth' is no rule: there are"),
        ("routing", "to: [log, hook]", WRONG_SEVERITY, 7, "'critcal' is no severity: there are"),
        (
            "people",
            "  - {id: bo@",
            "  - {id: b, email: ANA@example.com}\n  - {id: bo@",
            3,
            "address",
        ),
        ("routing", "{type: log}", "{type: email, smtp: secret://S}", 4, "an email needs 'smtp'"),
        ("routing", "{type: log}", MAIL.replace("a@b.c", "a b"), 4, "'a b' is no e-mail address"),
        ("routing", "{type: log}", MAIL.replace("secret://S", "x"), 4, "never written here"),
        ("routing", "{type: log}", MAIL[:-1] + ", url: x}", 4, "an email destination has no 'url'"),
        ("routing", "{type: log}", "{type: log, to: a@b.c}", 4, "a log destination has no 'to'"),
        ("routing", "cs@example.com", "cs\nconsole_url: console", 2, "this is a URL"),
        ("people", "email: ana@example.com, ", "", 2, "'ana' needs an 'email' address"),
        ("people", "  - {id: bo@", "  - {id: ANA, email: a@b.c}\n  - {id: bo@", 3, "two people"),
        ("people", "  - {id: bo@", TWICE + "  - {id: bo@", 3, "two people have the address"),
        ("people", "manager: bo@", "manager: cy@", 2, "'cy@example.com' is the id of nobody here"),
        ("people", "2026-08-14", "soon", 2, "date"),
        ("routing", "fallback: cs@example.com\n", "", 1, "missing required field `fallback`"),
    ],
)
def test_each_fault_names_its_file_and_line(
    tmp_path: Path, part: str, old: str, new: str, line: int, problem: str
) -> None:
    with pytest.raises(UserError) as refused:
        read_document(write(tmp_path, part, old, new))
    text = str(refused.value).splitlines()[0]  # what follows from a fault may be said too
    assert problem in text
    assert text.startswith(f"{tmp_path / part}.yaml:{line}: "), text
    assert "hunter2" not in str(refused.value)


def test_a_metric_over_ranks_needs_ranks(tmp_path: Path) -> None:
    write(tmp_path, "scorecards", "{count: active, window: 28d}", "{ranked_users: A}")
    (tmp_path / "engagement.yaml").write_text("")
    with pytest.raises(UserError, match=r"scorecards\.yaml:2: .*needs 'ranks'"):
        read_document(tmp_path)


def test_a_file_that_is_no_text_is_said(tmp_path: Path) -> None:
    (write(tmp_path) / "product.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"product\.yaml: cannot be read"):
        read_document(tmp_path)


def test_a_directory_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        read_document(tmp_path / "nowhere")


def test_a_directory_with_none_of_the_files_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"holds none of product\.yaml, scorecards\.yaml"):
        read_document(tmp_path)


def test_what_a_directory_leaves_out_is_as_shipped(tmp_path: Path) -> None:
    (tmp_path / "alerts.yaml").write_text((SHIPPED / "alerts.yaml").read_text())
    assert shipped_parts(tmp_path) == [part for part in PARTS if part != "alerts"]
    assert shipped_parts(tmp_path) == ["product", "scorecards", "routing", "people", *PARTS[5:]]
    assert read_document(tmp_path) == read_document(SHIPPED)


@pytest.mark.parametrize("text", ["[]", "text", "7"])
def test_a_file_that_is_no_mapping_is_said(tmp_path: Path, text: str) -> None:
    (write(tmp_path) / "product.yaml").write_text(text)
    with pytest.raises(UserError, match=r"product\.yaml"):
        read_document(tmp_path)


def test_all_faults_are_said_at_once_each_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "scorecards", "window: 28d", "window: 4w")
    (tmp_path / "product.yaml").write_text("time_zone: Mars/Base\n")
    routing = FILES["routing"].replace("to: [log, hook]", "to: [log, mail]")
    (tmp_path / "routing.yaml").write_text(routing)
    with pytest.raises(UserError) as refused:
        read_document(tmp_path)
    assert [line.partition(": ")[0] for line in str(refused.value).splitlines()] == [
        f"{tmp_path}/product.yaml:1",
        f"{tmp_path}/scorecards.yaml:2",
        f"{tmp_path}/routing.yaml:6",
    ]


def test_the_first_fault_of_form_is_said_for_each_file(tmp_path: Path) -> None:
    write(tmp_path, "scorecards", "weight: 1", "weight: 0")
    (tmp_path / "product.yaml").write_text("time_zone: [UTC]\n")
    with pytest.raises(UserError) as refused:
        read_document(tmp_path)
    first, second = str(refused.value).splitlines()
    assert first == f"{tmp_path}/product.yaml:1: product.time_zone: Expected `str`, got `array`"
    assert second.startswith(f"{tmp_path}/scorecards.yaml:11: ")


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("time_zone: UTC", "time_zone: UTC\ntime_zone: Asia/Tokyo", 2, "stands here a second time"),
        ("active:", "on:", 3, "a key is a text"),
        ("time_zone: UTC", "time_zone:", 1, "time_zone has no value"),
        ("active:", "2026-01-01:", 3, "a key is a text"),
        ("active:", "? [active]\n  :", 3, "not valid YAML"),
    ],
)
def test_what_yaml_passes_over_in_silence_is_refused(
    tmp_path: Path, old: str, new: str, line: int, problem: str
) -> None:
    with pytest.raises(UserError) as refused:
        read_document(write(tmp_path, "product", old, new))
    assert str(refused.value).startswith(f"{tmp_path}/product.yaml:{line}: ")
    assert problem in str(refused.value)


@pytest.mark.parametrize("number", [".inf", ".nan", "-.inf"])
def test_a_number_that_no_log_could_carry_is_refused(tmp_path: Path, number: str) -> None:
    with pytest.raises(UserError, match=r"scorecards\.yaml:11: .*Expected `float`, got `null`"):
        read_document(write(tmp_path, "scorecards", "weight: 1", f"weight: {number}"))


def test_a_date_is_the_text_that_profiles_have(tmp_path: Path) -> None:
    old, new = "{profile.size: S}", "{profile.renews_on: 2027-03-31}"
    cards = read_document(write(tmp_path, "scorecards", old, new))["scorecards"]["scorecards"]
    assert cards[0]["when"] == {"profile.renews_on": "2027-03-31"}


def test_a_destination_without_its_secret_is_named() -> None:
    def routing(secret: str | None) -> dict[str, object]:
        return {"routing": {"destinations": {"crm": {"type": "webhook", "secret": secret}}}}

    said = ["Warning: nothing will be sent to crm until MYAKU_SECRET_CRM is set."]
    assert missing_secrets(routing("secret://crm"), {}) == said
    assert missing_secrets(routing("secret://crm"), {"MYAKU_SECRET_CRM": "x"}) == []
    assert missing_secrets(routing("secret://crm"), {"MYAKU_SECRET_CRM_FILE": "x"}) == []
    assert missing_secrets(routing(None), {}) == []


def test_a_scorecard_has_at_most_200_measures(tmp_path: Path) -> None:
    names = [f"m{number}" for number in range(201)]
    counted = [*names, "uses", "nps"]  # what the other files name
    metrics = {name: {"count": "*", "window": "7d"} for name in counted}
    measures = {name: {"weight": 1, "curve": [[0, 0]]} for name in names}
    card = {"id": "all", "dimensions": {"use": {"weight": 1, "measures": measures}}}
    wanted = {"metrics": metrics, "scorecards": [card], "bands": {"healthy": 70, "critical": 0}}
    write(tmp_path)
    (tmp_path / "scorecards.yaml").write_text(json.dumps(wanted))
    with pytest.raises(UserError, match="at most 200 measures, not 201"):
        read_document(tmp_path)
    del measures["m200"]
    (tmp_path / "scorecards.yaml").write_text(json.dumps(wanted))
    read_document(tmp_path)
