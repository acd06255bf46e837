"""Everything the service refuses, as one tree; each answers as ``application/problem+json``.

ServiceError
├── Unauthenticated   401  no key, or one that is not valid (any more)
├── Forbidden         403  the key lacks the scope
├── NotFound          404  no such thing, or it belongs to another tenant
├── Conflict          409  the state forbids it
├── TooLarge          413  more than the limit
├── WrongMediaType    415  not JSON
├── Invalid           422  the request says something wrong; ``errors`` points at each place
└── Unavailable       503  database, broker or workers are away; try again
"""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, ClassVar

from training.mistakes import Mistake


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


class Unauthenticated(ServiceError):
    """No key was given, or none that is valid."""

    status = HTTPStatus.UNAUTHORIZED
    code = "unauthenticated"
    headers: ClassVar[dict[str, str]] = {"WWW-Authenticate": "Bearer"}


class Forbidden(ServiceError):
    """The key does not have the scope that this needs."""

    status = HTTPStatus.FORBIDDEN
    code = "insufficient_scope"


class NotFound(ServiceError):
    """Unknown, or another tenant's: both answer the same."""

    status = HTTPStatus.NOT_FOUND
    code = "not_found"


class Conflict(ServiceError):
    """The state of the thing forbids the action."""

    status = HTTPStatus.CONFLICT
    code = "state_conflict"


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


class Unavailable(ServiceError):
    """A part of the service does not answer; nothing was lost."""

    status = HTTPStatus.SERVICE_UNAVAILABLE
    code = "unavailable"
    retryable = True
    headers: ClassVar[dict[str, str]] = {"Retry-After": "2"}


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
        "errors": [mistake._asdict() for mistake in errors],
        "retryable": retryable,
    }
