"""The workers' Celery application. Its parent process opens no database and starts no thread."""

from celery import Celery

from app.config import get_settings
from app.logging import configure_logging

configure_logging()
celery = Celery("fallline", broker=get_settings().broker_url)
celery.conf.update(
    imports=("worker.celery_pool.tasks", "worker.celery_pool.preload"),
    accept_content=["json"],
    task_serializer="json",
    # The database keeps results, and says what there is to do: a bell is heard once and forgotten.
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_disable_prefetch=True,
    # A child opens its device and gets warm before it is ready. One that takes longer than this is
    # killed, and the next one too, for ever (the first children are exempt); the default is 4 s.
    worker_proc_alive_timeout=120,
    worker_enable_remote_control=False,
    worker_hijack_root_logger=False,
    worker_redirect_stdouts=False,
    # Its own consumer: see there. An error that Redis answers with is no reason to end either.
    worker_consumer="worker.celery_pool.consumer:PoolConsumer",
    broker_connection_retry_on_startup=True,
    broker_channel_error_retry=True,
    # Of tasks that are acknowledged late, which ours are not; unsaid, Celery warns at every loss.
    worker_cancel_long_running_tasks_on_connection_loss=True,
)
