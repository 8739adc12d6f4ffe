"""What commands read: the environment, what `myaku up` says of itself, and times."""

import os
from datetime import datetime
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr

from shared.data_dir import DEFAULT, DataDir
from shared.runtime import UserError
from shared.settings import Settings
from shared.times import datetime_ms


class CommandSettings(Settings):
    """Those of a service; the secret key may be missing, for most commands sign nothing."""

    secret_key: SecretStr = Field(
        default=SecretStr(""), description="needed where something is signed"
    )

    @classmethod
    def of(cls, data_dir: Path | None, variable: str) -> Self:
        """Of the `myaku up` in a data directory, else of what the environment names.

        `variable` has to be there for that. Raises UserError where nothing is named.
        """
        if data_dir is None and {variable, f"{variable}_FILE"} & os.environ.keys():
            return cls.read()
        up_file = DataDir(data_dir or DEFAULT).running()
        if up_file is None:
            raise UserError(
                f"Nothing runs in {data_dir or DEFAULT}: name your deployment in {variable},"
                " or with --data-dir where `myaku up` runs."
            )
        return cls.read(
            kafka=up_file.kafka,
            database_url=up_file.database_url,
            secret_key=up_file.secret_key,
        )


def instant_ms(option: str, text: str | None) -> int | None:
    """The time that an option names, in milliseconds since 1970. Raises UserError."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise UserError(f"{option} is a time with its zone, as 2027-01-31T00:00:00Z.")
    return datetime_ms(moment)
