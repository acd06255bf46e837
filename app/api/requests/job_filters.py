"""Which jobs are listed, from the query."""

from typing import Annotated

from fastapi import Depends, Query, Request

from app.errors import Invalid
from app.services.jobs.job_repository import Filters
from app.tables import JobState
from training.spec.mistakes import Mistake, unknown

PARAMETERS = ("limit", "after", "state", "name")
LABEL = "metadata."
STATES = (*JobState, "cancelling")
"""Those of the contract. A cancel is done at once (docs/adr/0003), so no job is ever cancelling."""

State = Annotated[str | None, Query(description="One state or several, with commas between them.")]
Name = Annotated[str | None, Query(description="The name of the job.")]


def filters(request: Request, state: State = None, name: Name = None) -> Filters:
    """What is asked for; raises ``Invalid`` where there is no such state or parameter."""
    wrong, labels = [], list[tuple[str, str]]()
    for parameter, value in request.query_params.multi_items():
        if parameter.startswith(LABEL) and parameter != LABEL:
            labels.append((parameter.removeprefix(LABEL), value))
        elif parameter not in PARAMETERS:
            sentence = unknown(parameter, [*PARAMETERS, f"{LABEL}<key>"])
            wrong.append(Mistake(f"/{parameter}", "unknown_field", f"{sentence} (query parameter)"))
    states = None if state is None else state.split(",")
    wrong += [
        Mistake("/state", "unknown_name", f"{unknown(one, STATES)} (query parameter)")
        for one in states or ()
        if one not in STATES
    ]
    if wrong:
        raise Invalid("the request has mistakes", wrong)
    return Filters(states, name, labels)


Wanted = Annotated[Filters, Depends(filters)]
