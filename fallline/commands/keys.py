"""`fallline keys …` and `fallline tenants …`"""

from __future__ import annotations

import itertools
from datetime import datetime
from typing import Annotated

import typer

from fallline.commands.connection import connected
from fallline.commands.each_id import Several
from fallline.resources.keys import Key, Tenant
from fallline.terminal.output import Form, OutputOption, Printer, Row

keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
tenants = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

LimitOption = Annotated[int, typer.Option(min=1, help="At most so many.")]


@keys.command()
def create(
    scope: Annotated[
        list[str], typer.Option(help="read, train, predict or admin; may be repeated.")
    ],
    tenant: Annotated[str | None, typer.Option(help="Whose, by id.  [default: our own]")] = None,
    expires: Annotated[datetime | None, typer.Option(help="When it ends, in local time.")] = None,
    output: OutputOption = Form.TABLE,
) -> None:
    """Make a key. Its secret is shown this once and never again."""
    if output is Form.ID:
        raise typer.BadParameter("the secret would be lost: take another", param_hint="--output")
    with connected() as client:
        made = client.keys.create(scope, tenant=tenant, expires_at=expires)
    shown = row(made)
    Printer(output).one(Row(shown.document, {"key": made.key, **shown.cells}, made.id))


@keys.command("list")
def list_(limit: LimitOption = 20, output: OutputOption = Form.TABLE) -> None:
    """List keys, newest first, those that have ended among them."""
    with connected() as client:
        Printer(output).rows(map(row, itertools.islice(client.keys.all(), limit)))


@keys.command()
def revoke(key: Annotated[list[str], typer.Argument(metavar="KEY...", help="Ids.")]) -> None:
    """Let keys open nothing any more."""
    several = Several()
    with connected() as client:
        several.do(key, client.keys.revoke, "revoked")
    several.concluded()


@tenants.command("create")
def create_tenant(
    name: Annotated[str, typer.Argument(metavar="NAME")], output: OutputOption = Form.TABLE
) -> None:
    """Make a tenant, who has no key yet."""
    with connected() as client:
        Printer(output).rows([tenant_row(client.tenants.create(name))])


@tenants.command("list")
def list_tenants(limit: LimitOption = 20, output: OutputOption = Form.TABLE) -> None:
    """List tenants, newest first."""
    with connected() as client:
        Printer(output).rows(map(tenant_row, itertools.islice(client.tenants.all(), limit)))


def row(key: Key) -> Row:
    """A key as a row of a table, without its secret."""
    cells = {
        "id": key.id,
        "tenant": key.tenant,
        "scopes": " ".join(key.scopes),
        "created": key.created_at,
        "expires": key.expires_at,
        "revoked": key.revoked_at,
    }
    return Row(key.raw, cells, key.id)


def tenant_row(tenant: Tenant) -> Row:
    """A tenant as a row of a table."""
    cells = {"id": tenant.id, "name": tenant.name, "created": tenant.created_at}
    return Row(tenant.raw, cells, tenant.id)
