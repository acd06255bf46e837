"""The worker's supervisor: ``python -m worker``."""

from app.config import get_settings
from app.logging import configure_logging
from worker.supervision.supervisor import Supervisor

if __name__ == "__main__":
    configure_logging()
    Supervisor(get_settings()).run()
