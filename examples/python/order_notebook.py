"""Orders a notebook for the team TEAM, waits until it is ready and starts your server.

Reads API, TOKEN and TEAM from the environment. Needs Python 3.10 or newer and no packages. Can be run again: what
exists already stays as it is.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote


class Problem(Exception):
    """The API refused a request; `code` is stable, and listCodes explains it."""

    def __init__(self, body: dict[str, Any]) -> None:
        faults = [f"\n  {fault['pointer']}: {fault['message']}" for fault in body.get("errors", [])]
        super().__init__(f"{body['code']}: {body['detail']}{''.join(faults)}")
        self.code: str = body["code"]


def call(method: str, path: str, body: Any = None) -> Any:
    request = urllib.request.Request(
        f"{os.environ['API']}/v1{path}",
        method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": "Bearer " + os.environ["TOKEN"], "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return json.load(response)
    except urllib.error.HTTPError as error:
        if "json" not in error.headers.get("Content-Type", ""):
            raise
        raise Problem(json.load(error)) from None


def team_of(slug: str) -> Any:
    try:
        return call("GET", f"/teams/{slug}")
    except Problem as problem:
        if problem.code != "not_found":
            raise
    return call("POST", "/teams", {"slug": os.environ["TEAM"]})


def notebook_of(slug: str) -> Any:
    try:
        return call("GET", f"/teams/{slug}/notebook")
    except Problem as problem:
        if problem.code != "notebook_not_ordered":
            raise
    # Every field that the order leaves out gets its default.
    return call("PUT", f"/teams/{slug}/notebook", {})


def wait_until_ready(slug: str, notebook: Any) -> Any:
    deadline = time.monotonic() + 15 * 60
    while notebook["status"]["phase"] != "Ready":
        if time.monotonic() > deadline:
            sys.exit(f"The notebook is still {notebook['status']['phase']}.")
        time.sleep(1)
        notebook = call("GET", f"/teams/{slug}/notebook")
    return notebook


def start_server(slug: str, user: str) -> str:
    operation = call("POST", f"/teams/{slug}/servers/{quote(user, safe='')}/start", {})
    while not operation["done"]:
        print(f"{operation['progress']} % {operation['message']}", file=sys.stderr)
        time.sleep(1)
        operation = call("GET", f"/teams/{slug}/operations/{operation['id']}")
    if "error" in operation:
        raise Problem(operation["error"])
    return str(operation["result"]["url"])


def main() -> None:
    slug = quote(os.environ["TEAM"], safe="")
    team = team_of(slug)
    wait_until_ready(slug, notebook_of(slug))
    email = call("GET", "/me")["email"]
    user = next(member["username"] for member in team["members"] if member["email"] == email)
    print(start_server(slug, user))


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(str(problem))
