"""Settings: from the environment (prefix ``FALLLINE_``), read once, wrong values fail at start."""

import contextlib
import ipaddress
import os
import sys
from functools import cache, lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple, Self

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.ingestion.encoding import Bounds
from training.validation.check import Limits

Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]
Names = Annotated[
    frozenset[str],
    NoDecode,  # a list with commas, not JSON
    BeforeValidator(lambda text: words(text) if isinstance(text, str) else text),
]


class Quotas(NamedTuple):
    """What a tenant may have."""

    queued_jobs: int
    running_jobs: int
    stored_bytes: int


def physical_memory() -> int:
    """The memory of this machine, or of the container that this process runs in."""
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    with contextlib.suppress(OSError, ValueError):  # no container, or one without a limit
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return total


class Settings(BaseSettings):
    """Everything that can be set. Sizes in bytes, times in seconds."""

    model_config = SettingsConfigDict(env_prefix="FALLLINE_", frozen=True, extra="ignore")

    home: Path = Path("~/.fallline")
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    allow_remote: bool = False
    allowed_hosts: Names = frozenset()
    allowed_origins: Names = frozenset()
    database_url: str = ""
    broker_url: str = ""

    max_parameters: Count = 200_000_000
    max_iterations: Count = 100_000_000
    max_layers: Count = 1_000
    max_inline_values: Count = 100_000
    max_job_memory_bytes: Count = Field(default_factory=physical_memory)
    max_body_bytes: Count = 10_000_000
    max_bodies_bytes: Count = 200_000_000
    body_grace_seconds: Seconds = 1.25
    body_bytes_per_second: Count = 10_000
    max_prediction_rows: Count = 10_000
    max_loaded_models_bytes: Count = 1 << 30
    max_header_bytes: Count = 65_536
    header_seconds: Seconds = 10

    requests_per_second: Count = 2_000
    max_queued_jobs: Count = 1_000
    max_running_jobs: Count = 4 * (os.cpu_count() or 1)
    max_stored_bytes: Count = 100 << 30

    max_upload_bytes: Count = 10 << 30
    max_line_bytes: Count = 1_000_000
    max_columns: Count = 2_000
    max_categories: Count = 100
    upload_idle_seconds: Seconds = 30
    upload_bytes_per_second: Count = 1_000

    worker_processes: Count | None = None
    heartbeat_seconds: Seconds = 5
    lease_seconds: Seconds = 20
    sweep_seconds: Seconds = 5
    stall_seconds: Seconds = 120
    watchdog_seconds: Seconds = 30

    checkpoints_thinned_days: Annotated[float, Field(gt=0)] = 1
    checkpoints_kept_days: Annotated[float, Field(gt=0)] = 30
    orphans_kept_hours: Annotated[float, Field(gt=0)] = 6

    max_watchers: Annotated[int, Field(ge=1, le=10_000)] = 2_000

    replay_wait_seconds: Seconds = 10
    replay_max_parameters: Count = 100_000
    replay_max_iterations: Count = 10_000

    @model_validator(mode="after")
    def fill_in(self) -> Self:
        """What depends on ``home``: SQLite and the embedded broker's socket lie in it."""
        home = self.home.expanduser().absolute()
        # Frozen for everybody else; a validator completes the object before anyone sees it.
        object.__setattr__(self, "home", home)
        if not self.database_url:
            object.__setattr__(self, "database_url", f"sqlite:///{home}/fallline.db")
        if self.database_url.startswith("postgresql://"):  # SQLAlchemy would take another driver
            url = self.database_url.replace("postgresql://", "postgresql+psycopg://", 1)
            object.__setattr__(self, "database_url", url)
        if not self.broker_url:
            object.__setattr__(self, "broker_url", f"redis+socket://{home}/redis.sock")
        return self

    @model_validator(mode="after")
    def stays_at_home(self) -> Self:
        """Keys travel in clear text: another address than loopback must be asked for."""
        if not self.allow_remote and not is_loopback(self.host):
            raise ValueError(
                f"FALLLINE_HOST={self.host} is reachable from other machines; "
                "set FALLLINE_ALLOW_REMOTE=true if that is meant (and put TLS in front)"
            )
        return self

    @model_validator(mode="after")
    def beats_within_its_lease(self) -> Self:
        """A heartbeat that comes after its lease would lose every job."""
        if 2 * self.heartbeat_seconds > self.lease_seconds:
            raise ValueError("FALLLINE_LEASE_SECONDS must be at least twice the heartbeat")
        return self

    @property
    def limits(self) -> Limits:
        """The largest job that is accepted."""
        return Limits(
            self.max_parameters,
            self.max_iterations,
            self.max_layers,
            self.max_inline_values,
            self.max_job_memory_bytes,
        )

    @property
    def bounds(self) -> Bounds:
        """The largest table that is taken."""
        return Bounds(self.max_line_bytes, self.max_columns, categories=self.max_categories)

    @property
    def quotas(self) -> Quotas:
        """What a tenant may have."""
        return Quotas(self.max_queued_jobs, self.max_running_jobs, self.max_stored_bytes)

    @property
    def storage(self) -> Path:
        """Where checkpoints and models lie."""
        return self.home / "objects"


def words(text: str) -> frozenset[str]:
    """The parts of a list with commas."""
    return frozenset(word.strip().lower() for word in text.split(",") if word.strip())


@lru_cache(maxsize=1000)
def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@cache
def get_settings() -> Settings:
    """The settings of this process; ends it with a sentence a mistake when they make no sense."""
    try:
        return Settings()
    except ValidationError as error:
        mistakes = [
            f"FALLLINE_{'_'.join(map(str, m['loc'])).upper()}: {m['msg']}" for m in error.errors()
        ]
        sys.exit("\n".join(mistakes).replace("FALLLINE_: Value error, ", ""))
