"""What every service reads from the environment, once, at start."""

import re
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.runtime import LOOPBACK, UserError

S = TypeVar("S", bound="Settings")


class Settings(BaseSettings):
    """The settings that all services share; each also as NAME_FILE, a file that holds the value."""

    model_config = SettingsConfigDict(env_prefix="MYAKU_", extra="ignore")

    kafka: str = Field(
        default="127.0.0.1:9092",
        pattern=r"^[^\s,]+:\d{1,5}(,[^\s,]+:\d{1,5})*$",
        description="brokers, as host:port,host:port",
    )
    kafka_security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        default="PLAINTEXT", description="PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL"
    )
    kafka_security_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        default="SCRAM-SHA-512", description="PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    kafka_security_username: str = Field(default="", description="with SASL")
    kafka_security_password: SecretStr = Field(default=SecretStr(""), description="with SASL")
    kafka_security_ca_file: Path | None = Field(
        default=None, description="whose certificates are trusted, with SSL"
    )
    kafka_session_timeout_ms: int = Field(
        default=30_000, ge=3_000, description="after which a silent worker's partitions move"
    )
    kafka_replication_factor: int = Field(default=1, ge=1, description="of the topics that we make")
    database_url: SecretStr = Field(
        default=SecretStr("postgresql://127.0.0.1:5432/myaku"),
        description="postgresql://user:password@host:5432/name",
    )
    clock: Literal["wall", "events"] = Field(
        default="wall", description="wall, or events: time is what a replayed history says"
    )
    clock_file: Path | None = Field(
        default=None,
        description="for tests and rehearsals only: a file that holds the time, in milliseconds"
        " since 1970, instead of the system's clock",
    )
    fail_at: str | None = Field(
        default=None,
        description="for tests and rehearsals only: POINT:N of the pipelines, at which the process"
        " ends; POINT:N:STOP: stands still",
    )
    secret_key: SecretStr = Field(
        min_length=16, description="at least 16 characters, the same for all services"
    )
    log_format: Literal["json", "console"] = Field(default="json", description="json or console")
    log_level: Literal["debug", "info", "warning"] = Field(
        default="info", description="debug, info or warning"
    )
    host: str = Field(
        default=LOOPBACK, description="address that the servers listen on; 0.0.0.0: all of them"
    )
    group: str = Field(default="myaku", description="prefix of the Kafka consumer groups")
    parent_fd: int | None = Field(
        default=None,
        description="a pipe that ends when whoever started this process is gone",
    )
    database_url_file: Path | None = Field(default=None, description="a file that holds it")
    secret_key_file: Path | None = Field(default=None, description="a file that holds it")
    kafka_security_password_file: Path | None = Field(
        default=None, description="a file that holds it"
    )

    @model_validator(mode="before")
    @classmethod
    def read_files(cls, values: dict[str, object]) -> dict[str, object]:
        """`NAME_FILE` gives NAME where NAME itself is not set."""
        for name in ("database_url", "secret_key", "kafka_security_password"):
            path = values.get(f"{name}_file")
            if path and not values.get(name):
                try:
                    values[name] = Path(str(path)).read_text(encoding="utf-8").strip()
                except OSError as error:
                    raise ValueError(f"MYAKU_{name.upper()}_FILE: {error}") from error
        return values

    @field_validator("database_url")
    @classmethod
    def be_postgres(cls, value: SecretStr) -> SecretStr:
        """Refuse what is no address of a PostgreSQL database, without showing it."""
        if not re.match(r"^postgres(ql)?(\+asyncpg)?://[^\s]*$", value.get_secret_value()):
            raise ValueError("write postgresql://user:password@host:5432/name")
        return value

    @classmethod
    def read(cls, **known: Any) -> Self:
        """The settings of this process, `known` ones not from the environment.

        Raises UserError naming the first wrong one.
        """
        try:
            return cls(**known)
        except ValidationError as error:
            fault = error.errors()[0]
            name = "MYAKU_" + "_".join(str(part) for part in fault["loc"]).upper()
            if fault["type"] == "missing":
                what = cls.model_fields[str(fault["loc"][0])].description
                raise UserError(f"The environment variable {name} is not set: {what}.") from None
            raise UserError(f"The environment variable {name} is wrong: {fault['msg']}.") from None

    @classmethod
    def explain(cls) -> str:
        """All of them with their defaults, for a command's help: one a line."""
        lines = []
        for name, field in cls.model_fields.items():
            default = field.default
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            shown = "" if field.is_required() or default in ("", None) else f" (default {default})"
            lines.append(f"MYAKU_{name.upper()}{shown}: {field.description}")
        return "\n\n".join(lines)
