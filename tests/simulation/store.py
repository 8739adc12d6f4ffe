"""A simulated PostgreSQL behind SQLAlchemy's interface: SQLite in memory, one for each service.

It runs the services' own statements. Writers of a partition wait for each other's row; what is
not committed is seen by nobody else; a snapshot sees one moment. A transaction may fail at every
statement and on both sides of its commit, and ends by itself when its client says nothing.
"""

import sqlite3
from collections import deque, namedtuple
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from io import StringIO
from pkgutil import iter_modules
from typing import Any

from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext

from shared.migrations import versions
from tests.simulation.dialect import Statement, schema, translated
from tests.simulation.event_loop import SERVERS, VirtualLoop
from tests.simulation.network import Failed

LOCK_SECONDS = 5.0
IDLE_SECONDS = 10.0
Parameters = Sequence[Any] | Mapping[str, Any]


@cache
def template(service: str) -> bytes:
    """An empty database of a service, as the migrations make it."""
    written = StringIO()
    options = {"as_sql": True, "output_buffer": written}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        for module in sorted(found.name for found in iter_modules(versions.__path__)):
            import_module(f"shared.migrations.versions.{module}").upgrade()
    connection = sqlite3.connect(":memory:")
    for statement in schema(written.getvalue()):
        table = statement.replace("INDEX ", "").split()
        if any(word.startswith(f"{service}.") for word in table):
            connection.execute(statement.replace(f"{service}.", ""))
    return connection.serialize()


@lru_cache(4096)
def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names, rename=True)


class Result:
    """What a statement gave."""

    def __init__(self, found: Sequence[Any], names: tuple[str, ...], rowcount: int) -> None:
        self.found = [_row_type(names)(*row) for row in found] if found else []
        self.rowcount = rowcount

    def __iter__(self) -> Iterator[Any]:
        return iter(self.found)

    def all(self) -> list[Any]:
        return self.found

    def one(self) -> Any:
        (row,) = self.found
        return row

    def one_or_none(self) -> Any:
        return self.one() if self.found else None

    first = one_or_none

    def scalars(self) -> list[Any]:
        return [row[0] for row in self.found]

    def scalar_one(self) -> Any:
        return self.one()[0]

    def scalar_one_or_none(self) -> Any:
        return self.scalar_one() if self.found else None


class Transaction:
    """An open transaction of the server's: what it has written, and what it has locked."""

    def __init__(self, database: "Database", owner: str, *, frozen: bool) -> None:
        self.database = database
        self.owner = owner
        self.frozen = frozen  # REPEATABLE READ
        self.ended = False
        self.done: list[tuple[Statement, Parameters]] = []
        self.locks: list[Any] = []
        self.view: sqlite3.Connection | None = None
        self.patient = False  # may be idle for long
        self.looked = False
        self.touched_ms = 0.0


Told = Callable[[Any], None]


class Database:
    """The server: its committed state, and the locks of those who write."""

    def __init__(self, service: str, loop: VirtualLoop) -> None:
        self.service = service
        self.loop = loop
        self.connection = _opened(template(service))
        self.active: Transaction | None = None
        self.owners: dict[Any, Transaction] = {}
        self.waiting: dict[Any, deque[Callable[[], None]]] = {}
        self.snapshots: set[Transaction] = set()
        self.audit: list[tuple[int, str, int, int, str]] = []
        """Each commit of a fence row: partition, log id, epoch, next, owner."""

    def begin(self, owner: str, *, frozen: bool) -> Transaction:
        """A new transaction."""
        return Transaction(self, owner, frozen=frozen)

    def run(self, of: Transaction, sql: str, values: Parameters, tell: Told) -> None:
        """Run a statement when it has its row's lock, and tell: the answer, or Failed."""
        statement = translated(sql)
        if of.ended:
            tell(Failed("the connection was ended: idle in transaction"))
            return
        key = _lock_of(self.service, sql, values) if statement.locks else None
        holder = self.owners.get(key)
        if key is None or holder is of:
            tell(self._answer(of, statement, values))
            return
        if holder is None:
            self.owners[key] = of
            of.locks.append(key)
            tell(self._answer(of, statement, values))
            return
        self._wait(of, key, lambda: self.run(of, sql, values, tell), tell)

    def _wait(self, of: Transaction, key: Any, again: Callable[[], None], tell: Told) -> None:
        queue = self.waiting.setdefault(key, deque())

        def late() -> None:
            if again in queue:
                queue.remove(again)
                self.rollback(of)
                tell(Failed("canceling statement due to lock timeout"))

        queue.append(again)
        self.loop.call_later(LOCK_SECONDS, late, context=SERVERS)

    def _answer(self, of: Transaction, statement: Statement, values: Parameters) -> Any:
        self._mind(of)
        try:
            return self._execute(self._view_of(of, statement), statement, values)
        except sqlite3.IntegrityError as error:
            return Failed(str(error))
        finally:
            if statement.writes:
                of.done.append((statement, values))

    def _mind(self, of: Transaction) -> None:
        """End the transaction when its client has said nothing for too long."""
        first, of.touched_ms = not of.looked, self.loop.now
        of.looked = True

        def look() -> None:
            if not of.ended:
                left = of.touched_ms + IDLE_SECONDS - self.loop.now
                if left <= 0:
                    self.rollback(of)
                else:
                    self.loop.call_later(left, look, context=SERVERS)

        if first and not of.patient:
            self.loop.call_later(IDLE_SECONDS, look, context=SERVERS)

    def _view_of(self, of: Transaction, statement: Statement) -> sqlite3.Connection:
        """The connection that sees what the transaction sees."""
        if of.frozen:
            if of.view is None:
                self.snapshots.add(of)
        elif statement.writes and self.active is not of:
            self._suspend()
            self.connection.execute("BEGIN")
            for one, values in of.done:
                self._execute(self.connection, one, values)
            self.active = of
        if of.view is not None:
            return of.view
        if self.active is not of:
            if of.done:
                return self._view_of(of, of.done[0][0])
            self._suspend()
        return self.connection

    def _suspend(self) -> None:
        """What is written and not committed goes out of sight; it is run again when it goes on."""
        if self.active is not None:
            self.connection.execute("ROLLBACK")
            self.active = None

    def _execute(
        self, connection: sqlite3.Connection, statement: Statement, values: Parameters
    ) -> Result:
        if isinstance(values, Mapping):
            cursor = connection.execute(statement.sql, values)
        elif statement.many:
            rows = zip(*_columns(statement, values), strict=True)
            cursor = connection.executemany(statement.sql, rows)
        else:
            for name, numbers in statement.arrays:
                places = ", ".join(f"c{at}" for at in range(len(numbers)))
                connection.execute(f"DROP TABLE IF EXISTS temp.{name}")
                connection.execute(f"CREATE TEMP TABLE {name} ({places})")
                marks = ", ".join("?" * len(numbers))
                rows = zip(*(values[number] for number in numbers), strict=True)
                connection.executemany(f"INSERT INTO temp.{name} VALUES ({marks})", rows)
            cursor = connection.execute(statement.sql, statement.values(values))
        names = tuple(column[0].split(".")[-1] for column in cursor.description or ())
        return Result(cursor.fetchall() if names else (), names, cursor.rowcount)

    def commit(self, of: Transaction) -> Failed | None:
        """Make what was written everybody's."""
        if of.ended:
            return Failed("the connection was ended: idle in transaction")
        if of.done:
            for snapshot in self.snapshots:
                self._suspend()
                snapshot.view = snapshot.view or _opened(self.connection.serialize())
            self._view_of(of, of.done[0][0])
            self._note(of)
            self.connection.execute("COMMIT")
            self.active = None
        self._end(of)
        return None

    def _note(self, of: Transaction) -> None:
        if self.service != "ingest":
            sql = "SELECT partition, log_id, epoch, next, owner FROM partition"
            known = {line[0]: line for line in self.audit[-16:]}
            for row in self.connection.execute(sql):
                if known.get(row[0]) != row:
                    self.audit.append(row)

    def rollback(self, of: Transaction) -> None:
        """Nothing of it stays."""
        if of.ended:
            return
        if self.active is of:
            self._suspend()
        self._end(of)

    def _end(self, of: Transaction) -> None:
        of.ended = True
        self.snapshots.discard(of)
        if of.view is not None:
            of.view.close()
        for key in of.locks:
            del self.owners[key]
            queue = self.waiting.get(key)
            while queue and key not in self.owners:
                queue.popleft()()

    def rows(self, sql: str) -> list[Any]:
        """What is committed."""
        self._suspend()
        return self.connection.execute(sql).fetchall()

    def close(self) -> None:
        """Let the memory go."""
        self.connection.close()


def _columns(statement: Statement, values: Sequence[Any]) -> list[Any]:
    """The columns of the rows; what is one value is that of every row."""
    given = [values[number] for number in statement.many]
    count = next(len(column) for column in given if isinstance(column, list))
    return [column if isinstance(column, list) else [column] * count for column in given]


def _opened(data: bytes) -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=512)
    connection.deserialize(data)
    return connection


def _lock_of(service: str, sql: str, values: Parameters) -> Any:
    """Whose row the statement has to wait for: the partition's, or in ingest the table's."""
    if service == "ingest":
        return sql.partition("ingest.")[2].split()[0]
    return values["partition"] if isinstance(values, Mapping) else values[0]
