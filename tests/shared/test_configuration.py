"""A wrong configuration is refused whole, with file, line and what was expected."""

from pathlib import Path

import pytest

from shared.configuration import parse, revision, scoring_revision
from shared.configuration.files import PARTS, SHIPPED, read_document, shipped_parts
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
}


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
        ("scorecards", "[uses, profile", "[more, profile", 4, "a ratio is of simple metrics"),
        ("scorecards", "id: others", "id: small", 6, "two scorecards have the same id"),
        ("scorecards", "    when: {profile.size: S}\n", "", 7, "only the last scorecard"),
        ("scorecards", "id: others", "id: others\n    when: {profile.a: 1}", 14, "the default"),
        ("scorecards", "profile.size", "size", 8, "'when' names profile fields"),
        ("scorecards", "          uses:", "          use:", 13, "'use' is no metric"),
        ("scorecards", "[[0, 0], [9", "[[9, 0], [9", 13, "go up in their first number"),
        ("scorecards", "[9, 100]", "[9, 101]", 13, "Expected `float` <= 100"),
        ("scorecards", "weight: 1", "weight: 0", 11, "Expected `float` > 0"),
        ("scorecards", "critical: 0", "critical: 1", 20, "down to 0"),
        ("scorecards", "watch: 50", "watch: 80", 20, "from the highest limit"),
        ("alerts", "for: 1h", "for: 1 hour", 2, "for: '1 hour' is not a duration"),
        ("alerts", "clear: 55", "clear: 45", 2, "clear (45.0) must be above its trigger"),
        ("alerts", "trigger: 30", "trigger: 60", 2, "levels go from mild to severe"),
        ("alerts", "severity: critical", "severity: warning", 2, "levels go from mild to severe"),
        ("alerts", "kind: threshold", "kind: magic", 4, "Invalid enum value 'magic'"),
        ("routing", "to: [log, hook]", "to: [log, mail]", 6, "'mail' is no destination"),
        ("routing", "to: [log, hook]", "to: []", 6, "length >= 1"),
        ("routing", "[profile.csm]", "[csm]", 2, "owners are profile fields"),
        ("routing", ', secret: "secret://HOOK"', "", 5, "a webhook needs 'url' and 'secret'"),
        ("routing", "{type: log}", "{type: log, url: x}", 4, "neither 'url' nor 'secret'"),
        ("routing", "secret://HOOK", "hunter2", 5, "a secret is named, never written here"),
        ("routing", "fallback: cs@example.com\n", "", 1, "missing required field `fallback`"),
    ],
)
def test_each_fault_names_its_file_and_line(
    tmp_path: Path, part: str, old: str, new: str, line: int, problem: str
) -> None:
    with pytest.raises(UserError) as refused:
        read_document(write(tmp_path, part, old, new))
    text = str(refused.value)
    assert problem in text
    assert text.startswith(f"{tmp_path / part}.yaml:{line}: "), text
    assert "hunter2" not in text or new != "hunter2"
    assert "\n" not in text


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
    assert shipped_parts(tmp_path) == ["product", "scorecards", "routing"]
    assert read_document(tmp_path) == read_document(SHIPPED)


@pytest.mark.parametrize("text", ["[]", "text", "7"])
def test_a_file_that_is_no_mapping_is_said(tmp_path: Path, text: str) -> None:
    (write(tmp_path) / "product.yaml").write_text(text)
    with pytest.raises(UserError, match=r"product\.yaml"):
        read_document(tmp_path)
