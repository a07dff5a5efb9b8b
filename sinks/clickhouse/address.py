"""Address of ClickHouse, and the login."""

from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

Port = Annotated[int, Field(ge=1, le=65535)]
Name = Annotated[str, Field(min_length=1)]
ClusterName = Annotated[str, Field(pattern=r"^[\w.-]*$")]
# Compose files and charts set a variable to nothing where they mean that it is not set.
Optional = Annotated[str | None, BeforeValidator(lambda text: text or None)]


class ClickHouseAddress(BaseModel):
    """Native and HTTP ports of one ClickHouse server. `repr` does not show the password."""

    model_config = ConfigDict(frozen=True)

    host: str = Field("127.0.0.1", description="ClickHouse host.")
    port: Port = Field(9000, description="ClickHouse native port.")
    http_port: Port = Field(8123, description="ClickHouse HTTP port, read by `verify`.")
    user: Name = Field("default", description="ClickHouse user.")
    password: SecretStr = Field(SecretStr(""), description="ClickHouse password.")
    database: Name = Field("pintally", description="ClickHouse database.")
    secure: bool = Field(False, description="TLS to ClickHouse, on both ports.")
    ca_file: Optional = Field(
        None, description="CA certificates that verify ClickHouse's certificate, PEM; the system's if not set."
    )
    cluster: ClusterName = Field(
        "",
        description="Name in `system.clusters` of the servers that hold the same rows; empty: each server is alone. "
        "On ClickHouse Cloud `default`.",
    )
    quorum: int = Field(
        2,
        ge=0,
        le=16,
        description="Servers of the cluster that must have an insert before a worker goes on; 0: one will do. Means "
        "nothing without `PINTALLY_CLICKHOUSE_CLUSTER`.",
    )

    def __str__(self) -> str:
        return f"{self.host}:{self.port}/{self.database}"
