"""The client's side of the simulated PostgreSQL: what the services use of SQLAlchemy's engine."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError

from tests.simulation.event_loop import SERVERS
from tests.simulation.network import Failed, Lost, Network, Refused
from tests.simulation.store import Database, Transaction

GONE_SECONDS_MAX = 12.0
"""A server learns late that its client is gone; what that had begun is undone then."""


class Engine:
    """Of one process, to one database."""

    def __init__(self, network: Network, database: Database, owner: str) -> None:
        self.network = network
        self.database = database
        self.owner = owner

    def connect(self) -> "Connection":
        """A connection, to be entered."""
        return Connection(self)

    async def dispose(self) -> None:
        """Nothing is kept open."""


class Connection:
    """One connection: at most one transaction at a time."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.frozen = False
        self.transaction: Transaction | None = None
        self.broken = False

    async def __aenter__(self) -> "Connection":
        await self._ask("connecting", lambda tell: tell(None))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._let_go()

    async def execution_options(self, **options: Any) -> None:
        """REPEATABLE READ is a snapshot."""
        self.frozen = options.get("isolation_level") == "REPEATABLE READ"

    def begin(self) -> "Begun":
        """A transaction, to be entered."""
        return Begun(self)

    async def execute(self, clause: Any, values: Mapping[str, Any] | None = None) -> Any:
        """Run a clause with named parameters."""
        return await self._run(clause.text, values or {})

    async def exec_driver_sql(self, sql: str, values: Sequence[Any] = ()) -> Any:
        """Run a statement with numbered parameters."""
        if "pg_settings" in sql:
            self._begun.patient = True
            return None
        return await self._run(sql, values)

    @property
    def _begun(self) -> Transaction:
        assert self.transaction is not None, "outside a transaction"
        return self.transaction

    async def _run(self, sql: str, values: Any) -> Any:
        database = self.engine.database
        of = self._begun
        return await self._ask("statement", lambda tell: database.run(of, sql, values, tell))

    async def commit(self) -> None:
        """COMMIT: nobody knows what came of it when the answer is lost."""
        of = self._begun
        await self._ask("commit", lambda tell: tell(self.engine.database.commit(of)))

    async def _ask(self, what: str, work: Callable[[Callable[[Any], None]], None]) -> Any:
        if self.broken:
            raise OperationalError(what, None, ConnectionError("the connection is closed"))
        try:
            return await self.engine.network.ask(self.engine.database.service, what, work)
        except (Lost, Refused) as error:
            self.broken = True
            cause = ConnectionError(str(error))
            raise DBAPIError(what, None, cause, connection_invalidated=True) from error
        except Failed as error:
            raise OperationalError(what, None, error) from error
        except BaseException:
            self.broken = True
            raise

    def _let_go(self) -> None:
        """What was not committed is undone: at once, or when the server learns of the loss."""
        of, self.transaction = self.transaction, None
        if of is None or of.ended:
            return
        network, database = self.engine.network, self.engine.database
        seconds = network.chance.random() * GONE_SECONDS_MAX if self.broken else 0.0
        network.loop.call_later(seconds, database.rollback, of, context=SERVERS)


class Begun:
    """A transaction of a connection, from BEGIN to COMMIT or ROLLBACK."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def __aenter__(self) -> None:
        connection = self.connection
        engine = connection.engine
        connection.transaction = engine.database.begin(engine.owner, frozen=connection.frozen)

    async def __aexit__(self, kind: object, *_: object) -> None:
        if kind is None:
            await self.connection.commit()
        else:
            self.connection._let_go()
