"""What the commands of this room read from the environment."""

from pydantic import Field, SecretStr

from shared.settings import Settings


class AdminSettings(Settings):
    """Those of a service, but nothing is signed here: the secret key may be missing."""

    secret_key: SecretStr = Field(default=SecretStr(""), description="not needed here")
