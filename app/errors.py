"""Everything the service refuses, as one tree; each answers as ``application/problem+json``.

ServiceError
├── UnknownHost         400  it was sent to a name that is not ours
├── Unauthenticated     401  no key, or one that is not valid (any more)
├── Forbidden           403  the key lacks the scope
│   └── ForeignOrigin        a page of another origin asks
├── NotFound            404  no such thing, or it belongs to another tenant
│   └── UnknownJob           no such job
├── NotAcceptable       406  none of the forms that the client takes is had
├── TooSlow             408  the body did not come in time
├── Conflict            409  the state forbids it
├── PreconditionFailed  412  it is no longer what the client has seen
├── TooLarge            413  more than the limit
├── WrongMediaType      415  not JSON
├── Invalid             422  the request says something wrong; ``errors`` points at each place
├── TooManyRequests     429  more requests in a moment than a tenant may make
│   └── QuotaExceeded        more jobs or bytes than a tenant may have
├── HeadTooLarge        431  path, query and headers are more than the limit
├── Unavailable         503  database, broker or workers are away; try again
└── StorageFull         507  the disk is full; nothing was kept
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar

from training.spec.mistakes import Mistake

MAX_POINTER_CHARACTERS = 1_000
"""Characters of a pointer: a client may have made up a name of any length."""


class ServiceError(Exception):
    """A refusal with a status, a stable code and a sentence for people."""

    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR
    code: ClassVar[str] = "internal"
    retryable: ClassVar[bool] = False
    headers: ClassVar[dict[str, str]] = {}

    def __init__(
        self, detail: str, errors: Iterable[Mistake] = (), *, code: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.errors = tuple(errors)
        self.own_code = code or self.code

    def problem(self) -> dict[str, Any]:
        """The members of RFC 9457, and ours."""
        return problem(
            self.status, self.own_code, self.detail, self.errors, retryable=self.retryable
        )


class UnknownHost(ServiceError):
    """The request names a host that is not this service: perhaps a name was bent to our address."""

    status = HTTPStatus.BAD_REQUEST
    code = "unknown_host"


class Unauthenticated(ServiceError):
    """No key was given, or none that is valid."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """The key does not have the scope that this needs."""

    status = HTTPStatus.FORBIDDEN
    code = "insufficient_scope"


class ForeignOrigin(Forbidden):
    """A page that was not served by us makes its reader's browser ask."""

    code = "foreign_origin"


class NotFound(ServiceError):
    """Unknown, or another tenant's: both answer the same."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class UnknownJob(NotFound):
    """There is no such job, or it belongs to another tenant."""

    def __init__(self, job_id: str) -> None:
        super().__init__(f"there is no job {job_id[:64]}")


class NotAcceptable(ServiceError):
    """The thing is there, in none of the media types that the client takes."""

    status = HTTPStatus.NOT_ACCEPTABLE
    code = "not_acceptable"


class TooSlow(ServiceError):
    """The body did not come in time; what had come was thrown away."""

    status = HTTPStatus.REQUEST_TIMEOUT
    code = "body_too_slow"
    retryable = True
    # The rest of the body may still be on its way: it must not be taken for a request.
    headers: ClassVar[dict[str, str]] = {"Connection": "close"}


class Conflict(ServiceError):
    """The state of the thing forbids the action."""

    status = HTTPStatus.CONFLICT
    code = "state_conflict"


class PreconditionFailed(ServiceError):
    """The thing is no longer what the client has seen; it was not changed."""

    status = HTTPStatus.PRECONDITION_FAILED
    code = "precondition_failed"


class TooLarge(ServiceError):
    """More bytes than the limit."""

    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    code = "too_large"


class WrongMediaType(ServiceError):
    """The body is not declared as JSON."""

    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE
    code = "unsupported_media_type"


class Invalid(ServiceError):
    """The request cannot be carried out as it stands."""

    status = HTTPStatus.UNPROCESSABLE_ENTITY
    code = "invalid_request"


class TooManyRequests(ServiceError):
    """More than a limit allows, for now: ``detail`` names the limit."""

    status = HTTPStatus.TOO_MANY_REQUESTS
    code = "rate_limited"
    retryable = True
    headers: ClassVar[dict[str, str]] = {"Retry-After": "1"}


class QuotaExceeded(TooManyRequests):
    """A tenant has as much as it may have; room comes with jobs that end and things deleted."""

    code = "quota_exceeded"
    headers: ClassVar[dict[str, str]] = {"Retry-After": "10"}


class HeadTooLarge(ServiceError):
    """Path, query and headers together are more than anybody needs."""

    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    code = "head_too_large"


class Unavailable(ServiceError):
    """A part of the service does not answer; nothing was lost."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    retryable = True
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


class StorageFull(ServiceError):
    """There is no room left on the disk; nothing was kept."""

    status = HTTPStatus.INSUFFICIENT_STORAGE
    code = "storage_full"
    retryable = True
    headers: ClassVar[dict[str, str]] = {"Retry-After": "60"}


def problem(
    status: HTTPStatus, code: str, detail: str, errors: Iterable[Mistake] = (), *, retryable: bool
) -> dict[str, Any]:
    """The members of a problem document that do not depend on the request."""
    return {
        "type": f"urn:fallline:problem:{code}",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "errors": [
            m._replace(pointer=m.pointer[:MAX_POINTER_CHARACTERS])._asdict() for m in errors
        ],
        "retryable": retryable,
    }
