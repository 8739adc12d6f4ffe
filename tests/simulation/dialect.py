"""PostgreSQL's SQL, as far as the services write it, in the words of SQLite."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

_ARRAY = re.compile(r"\$(\d+)::(\w+)\[\]")
_UNNEST = re.compile(r"unnest\(([^()]*)\)(?: AS (\w+) \(([\w, ]+)\))?")
_INSERTED = re.compile(r"SELECT ((?:\$\d+, )*)\* FROM unnest\(([^()]*)\)")
_ANY = r"= ANY\(\$(\d+)(?:::(?:int|text)\[\])?\)"
_WORDS = (
    (r"\b(?:scoring|alerts|ingest)\.", ""),
    (_ANY, r"IN (SELECT value FROM json_each(?\1))"),
    (r"::\w+(\[\])?", ""),
    (r' COLLATE "C"', ""),
    (r" FOR UPDATE$", ""),
    (r"\bgreatest\(", "max("),
    (r"\b(?:clock_timestamp|now)\(\)", "0"),
    (r"\bposition\((\S+) IN ([^()]+)\)", r"instr(\2, \1)"),
    (r"\(SELECT FROM ", "(SELECT 1 FROM "),
    (r"^UPDATE (\w+) (\w+) SET", r"UPDATE \1 AS \2 SET"),
    (r"^DELETE FROM (\w+) (?!WHERE|USING|AS)(\w+)", r"DELETE FROM \1 AS \2"),
    (r"^(DELETE FROM .+?) USING (.+?) WHERE (.+)$", r"\1 WHERE EXISTS (SELECT 1 FROM \2 WHERE \3)"),
    (
        r"SELECT l\.\* FROM account a CROSS JOIN LATERAL \((SELECT .+? FROM history h) WHERE .+?"
        r" LIMIT 1\) l WHERE a\.partition = \$1",
        r"\1 WHERE h.partition = $1 AND h.day = (SELECT max(day) FROM history o"
        r" WHERE o.partition = $1 AND o.account_no = h.account_no AND o.day <= $2)",
    ),
    (r"\$(\d+)", r"?\1"),
)


@dataclass(frozen=True)
class Statement:
    """A statement of SQLite's."""

    sql: str
    many: tuple[int, ...] = ()
    """The parameters whose elements are the rows that it is run for, one after the other."""
    arrays: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Temporary tables to be filled from parameters that are arrays."""
    texts: tuple[int, ...] = ()
    """The parameters that are arrays to be handed over as JSON."""
    parameters: int = 0
    writes: bool = False
    locks: bool = False

    def values(self, parameters: Sequence[Any]) -> list[Any]:
        """The parameters as the statement takes them."""
        return [
            json.dumps(value) if at in self.texts else None if isinstance(value, list) else value
            for at, value in enumerate(parameters[: self.parameters])
        ]


@cache
def translated(sql: str) -> Statement:
    """The statement in SQLite's words."""
    writes = not sql.startswith("SELECT")
    locks = writes or sql.endswith("FOR UPDATE")
    many: tuple[int, ...] = ()
    if inserted := _INSERTED.search(sql):
        fixed = [int(number) for number in re.findall(r"\d+", inserted[1])]
        many = tuple(int(number) - 1 for number, _ in _ARRAY.findall(inserted[2]))
        count = len(fixed) + len(many)
        places = ", ".join(f"?{number + 1}" for number in range(count))
        sql = sql[: inserted.start()] + f"VALUES ({places})" + sql[inserted.end() :]
        many = (*(number - 1 for number in fixed), *many)
    arrays: list[tuple[str, tuple[int, ...]]] = []

    def table(found: re.Match[str]) -> str:
        numbers = tuple(int(number) - 1 for number, _ in _ARRAY.findall(found[1]))
        name = "arrays_" + "_".join(map(str, numbers))
        arrays.append((name, numbers))
        names = found[3].split(", ") if found[3] else []
        columns = ", ".join(f"c{at} AS {name}" for at, name in enumerate(names)) or "*"
        return f"(SELECT {columns} FROM temp.{name})" + (f" AS {found[2]}" if found[2] else "")

    sql = re.sub(r"= ANY\((\$\d+::bytea\[\])\)", r"IN (SELECT * FROM unnest(\1))", sql)
    sql = _UNNEST.sub(table, sql)
    texts = tuple(int(number) - 1 for number in re.findall(_ANY, sql))
    for pattern, words in _WORDS:
        sql = re.sub(pattern, words, sql)
    parameters = max(map(int, re.findall(r"\?(\d+)", sql)), default=0)
    return Statement(sql, many, tuple(arrays), texts, parameters, writes, locks)


def schema(sql: str) -> list[str]:
    """The statements of a schema, without what SQLite does not need."""
    sql = re.sub(r"WITH \(fillfactor = \d+\)|COLLATE \"C\"|::\w+", "", sql)
    sql = re.sub(r"DEFAULT (?:clock_timestamp\(\)|floor\(random\(\) \* 9e18\))", "DEFAULT 7", sql)
    found: list[str] = []
    for statement in filter(None, map(str.strip, sql.split(";\n"))):
        statement = statement.removesuffix(";")
        if statement.startswith("ALTER TABLE"):
            table = statement.split()[2]
            found += [
                f"ALTER TABLE {table} {change.replace('NOT NULL', '')}"
                for change in re.findall(r"(?:ADD|DROP) COLUMN[^,]+", statement)
            ]
        elif statement.startswith(("CREATE TABLE", "DROP TABLE", "CREATE UNIQUE INDEX")):
            found.append(re.sub(r"\s+CHECK \(\w+ IN\s*\([^()]*\)\)", "", statement))
    return found
