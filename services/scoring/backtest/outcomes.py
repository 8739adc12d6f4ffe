"""What is asked at a cut-off, of whom, and what came: silence by default, or outcomes by file."""

import csv
import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from services.scoring.backtest.cutoffs import Cutoff
from services.scoring.engine.calendar import DAYS, EPOCH
from shared.history.parquet import MAGIC
from shared.runtime import UserError

Row = Mapping[str, Any]
_decode_rows = msgspec.json.Decoder(dict[str, Any]).decode_lines
YES, NO = frozenset({"1", "1.0", "true", "yes"}), frozenset({"0", "0.0", "false", "no"})


@dataclass(frozen=True)
class Silence:
    """Asked of the accounts in use in the horizon before the cut-off: no use in the one after?"""

    horizon_days: int

    @property
    def text(self) -> str:
        """The question in words."""
        return f"no use in the {self.horizon_days} days after the cut-off"


@dataclass(frozen=True)
class Churn:
    """Asked of all accounts that were in use before and have not churned: will they, in it?"""

    horizon_days: int
    days: Mapping[str, int]
    """By account, the day on which it churned."""

    @property
    def text(self) -> str:
        """The question in words."""
        return f"churned in the {self.horizon_days} days from the cut-off"


@dataclass(frozen=True)
class Labels:
    """Asked of the accounts that the file names at a cut-off; it also holds the answers."""

    outcomes: Mapping[int, Mapping[str, bool]]
    """By day and account."""

    @property
    def text(self) -> str:
        """The question in words."""
        return "the outcome in the file"

    @property
    def cutoffs(self) -> list[Cutoff]:
        """Those of the file, all of them tested."""
        return [Cutoff(day, day, is_test=True) for day in sorted(self.outcomes)]


Question = Silence | Churn | Labels


def population(question: Question, cutoff: Cutoff, newest_use: Mapping[str, int]) -> list[str]:
    """Of whom it is asked. `newest_use`: by account, the day of its last use before the cut-off."""
    if isinstance(question, Labels):
        return sorted(question.outcomes[cutoff.day])
    if isinstance(question, Churn):
        later = cutoff.day
        return sorted(a for a in newest_use if question.days.get(a, later) >= later)
    first = cutoff.day - question.horizon_days
    return sorted(account for account, day in newest_use.items() if day >= first)


def happened(
    question: Question, cutoff: Cutoff, account: str, newest_use: Mapping[str, int]
) -> bool:
    """Whether it came. `newest_use`: the day of the last use before the horizon's end."""
    if isinstance(question, Labels):
        return question.outcomes[cutoff.day][account]
    if isinstance(question, Churn):
        return cutoff.day <= question.days.get(account, cutoff.until) < cutoff.until
    return newest_use[account] < cutoff.day


def read(path: Path, horizon_days: int) -> Churn | Labels:
    """Outcomes of an NDJSON, CSV or Parquet file. Raises UserError.

    Rows `account_id, churned_at`, or rows `cutoff, account_id, outcome`.
    """
    rows = list(_rows(path))
    if not rows:
        raise UserError(f"There are no outcomes in {path}.")
    try:
        if "churned_at" in rows[0]:
            given = [row for row in rows if row.get("churned_at")]
            days: dict[str, int] = {}
            for row in given:  # the first time counts: whoever churned was asked no more
                days[_name(row)] = min(_day(row["churned_at"]), days.get(_name(row), DAYS))
            return Churn(horizon_days, days)
        outcomes: dict[int, dict[str, bool]] = {}
        for row in rows:
            outcomes.setdefault(_day(row["cutoff"]), {})[_name(row)] = _truth(row["outcome"])
        return Labels(outcomes)
    except KeyError as error:
        raise UserError(
            f"{path} has a row without {error.args[0]}: outcomes are rows of account_id and"
            " churned_at, or of cutoff, account_id and outcome."
        ) from None
    except ValueError as error:
        raise UserError(f"{path}: {error}.") from None


def _rows(path: Path) -> Iterator[Row]:
    try:
        content = path.read_bytes()
        if content.startswith(MAGIC):
            yield from pq.read_table(pa.BufferReader(content)).to_pylist()
        elif content.lstrip().startswith(b"{"):
            yield from _decode_rows(content)
        else:
            yield from csv.DictReader(io.StringIO(content.decode("utf-8-sig")))
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}.") from None
    except (pa.ArrowException, msgspec.MsgspecError, csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged: {str(error).splitlines()[0]}.") from None


def _name(row: Row) -> str:
    return str(row["account_id"])


def _day(value: Any) -> int:
    """A date, or the date of an instant as it is written. Raises ValueError."""
    if isinstance(value, datetime):
        value = value.date()
    if not isinstance(value, date):
        value = date.fromisoformat(str(value)[:10])
    day = (value - EPOCH).days
    if not 0 <= day < DAYS:
        raise ValueError(f"{value} is not a date from 1970 to 2199")
    return int(day)


def _truth(value: Any) -> bool:
    text = str(value).lower()
    if text in YES or text in NO:
        return text in YES
    raise ValueError(f"an outcome is 1 or 0, true or false, not {value!r}")
