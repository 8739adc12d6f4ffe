"""`myaku demo`: the simulated product through the real thing, and what Myaku says of it."""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

import httpx2
from rich.console import Console

from services.standalone.demo import product, tables
from services.standalone.up import Installation
from shared.data_dir import DEFAULT, DataDir
from shared.runtime import UserError

DIRECTORY = DEFAULT / "demo"
MARKER = "demo"
PAGE = 500
AT_RISK = ("critical", "at_risk")
RESOLVED_MAX = 5


def make_directory(path: Path) -> None:
    """An empty directory for a demo; what an earlier demo left in it is removed.

    Raises UserError where the directory holds anything else, or a demo that still runs.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        left = list(path.iterdir())
        if left and not (path / MARKER).exists():
            raise UserError(
                f"{path} holds something else than a demo: name another place with --data-dir."
            )
        if DataDir(path).is_taken():
            raise UserError(f"A demo runs in {path}: stop it first, or name another --data-dir.")
        for each in left:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        (path / MARKER).touch()
    except OSError as error:
        raise UserError(f"{path} cannot be used: {error}.") from None


async def play(installation: Installation, console: Console) -> None:
    """Replay the simulated product to its end and show what came of it. Raises UserError."""
    path = installation.data_dir.path / "events.ndjson"
    lines = product.ndjson()
    path.write_bytes(lines)
    events = lines.count(b"\n")
    console.print(
        f"A simulated product: {len(product.accounts())} customers, {events:,} events,"
        f" {product.FIRST_DAY} to {product.LAST_DAY}.",
        highlight=False,
    )
    await _replay(path, installation.data_dir.path)
    await _show(installation, console)


async def _replay(path: Path, data_dir: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "services.cli", "replay", str(path), "--wait"),
        *("--data-dir", str(data_dir)),
        stdin=asyncio.subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C in the terminal is the starter's business
    )
    try:
        status = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if status:
        raise UserError("The simulated product could not be replayed.")


async def _show(installation: Installation, console: Console) -> None:
    up_file = installation.up_file
    async with httpx2.AsyncClient() as client:
        weak = [
            account
            for band in AT_RISK
            for account in await _list(client, f"{up_file.scoring}/v1/accounts", {"band": band})
        ]
        address = f"{up_file.alerts}/v1/alerts"
        still_open = await _list(client, address, {})
        resolved = await _list(client, address, {"state": "resolved"})
    console.print(tables.at_risk(weak, console.width))
    resolved.sort(key=lambda alert: str(alert["resolved_at"]), reverse=True)
    still_open.sort(key=lambda alert: str(alert["opened_at"]), reverse=True)
    console.print(tables.alerts(still_open + resolved, console.width))
    if weak:
        account = weak[0]["account_id"]
        console.print(
            f"All about the first: curl {up_file.scoring}/v1/accounts/{account}",
            highlight=False,
            soft_wrap=True,
        )


async def _list(client: httpx2.AsyncClient, url: str, query: dict[str, str]) -> list[Any]:
    try:
        answer = await client.get(url, params=query | {"limit": str(PAGE)})
        answer.raise_for_status()
        data: list[Any] = answer.json()["data"]
    except httpx2.HTTPError as error:
        raise UserError(f"{url} does not answer: {error}.") from None
    return data
