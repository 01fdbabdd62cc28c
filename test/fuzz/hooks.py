"""What schemathesis needs to know about this API: its teams, its own checks, and what is counted.

FUZZ_RUN names a JSON file with the API's address, the role, its token and those of the people who set up its teams, and
the file for the counts.
"""

import atexit
import json
import os
import re
import sys
from collections import Counter
from itertools import count
from pathlib import Path

import requests
import schemathesis
from schemathesis.core.failures import AcceptedNegativeData

sys.path.insert(0, str(Path(__file__).parent))
from rules import STANDARD_HEADERS, allowed

RUN = json.loads(Path(os.environ["FUZZ_RUN"]).read_text())
ROLE, API = RUN["role"], RUN["api"]
DOCUMENT = json.loads(Path(RUN["document"]).read_text())

# The contract's examples, which stand for what exists.
TEAMS = ("team-a", "team-b", "team-c")
OPERATION = "op-6f1c2a9be0d34c57"
ETAG = '"team-a-3f9c.3.14"'
KEY = "5f7c1c0a-9d8e-4f2b-8a53-3c1d4c2f6a10"
IMAGE = "ghcr.io/navikt/team-notebook:20261115-090000-5d6e7f8"

# A team that cannot be changed any more is replaced after so many refusals.
WORN_OUT = 6
SPENT = {"deleting", "cannot_shrink"}
MEMBER_OPERATIONS = {"updateTeam", "addMember", "removeMember"}

serial = count(1)
session = requests.Session()


def call(method, path, body=None, token="admin"):
    """A request of the setup, which is not part of the fuzzing."""
    headers = {"authorization": f"Bearer {RUN['tokens'][token]}"}
    return session.request(method, f"{API}/v1{path}", json=body, headers=headers, timeout=60)


def new_team(kind):
    """team-a has all that a team can have, team-b a notebook with the defaults, team-c only itself."""
    slug = f"{ROLE}-{kind[-1]}{next(serial)}"
    people = [{"email": "kari.nordmann@nav.no", "username": "kari"}, {"email": "ola.nordmann@nav.no", "username": "ola"}]
    if ROLE in ("owner", "member"):
        people.append({"email": RUN["email"], "username": ROLE, "role": ROLE})
    created = call("POST", "/teams", {"slug": slug, "members": people}, "founder")
    assert created.status_code == 201, created.text
    if kind == "team-a":
        order = {"image": IMAGE, "allowlist": {"enabled": True, "hosts": ["pypi.org:443"]}}
        ordered = call("PUT", f"/teams/{slug}/notebook", order, "founder")
        assert ordered.status_code == 201, ordered.text
        call("PATCH", f"/teams/{slug}/notebook", {"culling": {"timeoutSeconds": 7200}}, "founder")
        for text in ("first", "second", "third"):
            call("POST", f"/teams/{slug}/secret/versions", {"data": text}, "founder")
        call("POST", f"/teams/{slug}/servers/kari/start", {}, "founder")
    elif kind == "team-b":
        call("PUT", f"/teams/{slug}/notebook", {}, "founder")
    return slug


class Slot:
    """The team that one of the contract's example slugs stands for now."""

    def __init__(self, kind):
        self.kind = kind
        self.renew()

    def renew(self):
        self.slug = new_team(self.kind)
        self.operation = OPERATION
        self.refusals = 0


slots = {kind: Slot(kind) for kind in TEAMS}


def slot_of(slug):
    return next((slot for slot in slots.values() if slot.slug == slug), None)


def operation_id(case):
    return case.operation.definition.raw["operationId"]


@schemathesis.hook
def before_call(context, case, kwargs):
    n = next(serial)
    path, headers = case.path_parameters, case.headers
    slot = slots.get(path.get("team")) if path else None
    if slot is not None:
        path["team"] = slot.slug
        if path.get("operation") == OPERATION:
            path["operation"] = slot.operation
    if headers:
        if headers.get("if-match") == ETAG and n % 4:
            headers["if-match"] = "*"
        if headers.get("idempotency-key") == KEY:
            headers["idempotency-key"] = f"{ROLE}-{n}"
    if isinstance(case.body, dict) and case.body.get("slug") == "team-a":
        case.body = {**case.body, "slug": f"{ROLE}-n{n}"}


counts = {
    "operations": Counter(),
    "statuses": Counter(),
    "codes": Counter(),
    "exceptions": Counter(),
    "faults": Counter(),
    "slowest": [0, ""],
}


def problem_of(response):
    if response.status_code < 400:
        return {}
    try:
        problem = response.json()
    except ValueError:
        return {}
    return problem if isinstance(problem, dict) else {}


@schemathesis.hook
def after_call(context, case, response):
    name, status, code = operation_id(case), response.status_code, problem_of(response).get("code")
    counts["operations"][name] += 1
    counts["statuses"][status] += 1
    if code is not None:
        counts["codes"][f"{status} {code}"] += 1
    if response.elapsed > counts["slowest"][0]:
        counts["slowest"] = [response.elapsed, f"{name} {status}"]
    slot = slot_of(case.path_parameters.get("team")) if case.path_parameters else None
    if slot is None:
        return
    if status == 202:
        slot.operation = response.json()["id"]
    if code in SPENT:
        slot.refusals += 1
    is_deleted = status == 202 and name == "deleteTeam"
    if is_deleted or slot.refusals >= WORN_OUT:
        if not is_deleted:
            call("DELETE", f"/teams/{slot.slug}?deleteHomes=true&deleteSecret=true")
        slot.renew()
    elif status < 300 and name in MEMBER_OPERATIONS:
        restore(slot)


def restore(slot):
    """The caller's role may be gone, and a quota may be set that refuses everything."""
    if ROLE == "admin":
        call("PATCH", f"/teams/{slot.slug}", {"quota": None})
    if ROLE in ("owner", "member"):
        call("PUT", f"/teams/{slot.slug}/members/{RUN['email']}", {"username": ROLE, "role": ROLE})


def operation_in_contract(case):
    return DOCUMENT["paths"][case.operation.path][case.operation.method.lower()]


def documented(case, status):
    response = operation_in_contract(case)["responses"].get(str(status))
    if response is not None and "$ref" in response:
        return DOCUMENT["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return response


def is_of_an_operation(case):
    return case.meta is None or case.operation.method.lower() == case.method.lower()


def was_generated_to_fit(case):
    """Also where schemathesis judges otherwise because it validates the parameters of a path percent-encoded."""
    return getattr(case.meta.phase.data, "description", "") == "Positive test case"


def headers_fit(case):
    """schemathesis takes some header values for valid that do not match their pattern."""
    sent = {name.lower(): value for name, value in (case.headers or {}).items()}
    patterns = {
        parameter["name"]: parameter["schema"].get("pattern", "")
        for parameter in operation_in_contract(case).get("parameters", [])
        if parameter["in"] == "header"
    }
    return all(re.search(pattern, str(sent.get(name, ""))) for name, pattern in patterns.items() if name in sent)


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """What counts as accepted although its schema forbids it, but is allowed."""
    if not isinstance(failure, AcceptedNegativeData):
        return True
    body = operation_in_contract(case).get("requestBody", {})
    is_left_out = case.body is None and not body.get("required", False)
    return not (was_generated_to_fit(case) or is_left_out)


@schemathesis.check
def refused_for_its_state(ctx, response, case):
    """What the schema allows is refused only for what exists, who asks, or a rule that no schema can express."""
    if case.meta is None or not is_of_an_operation(case) or not headers_fit(case):
        return
    if not case.meta.generation.mode.is_positive and not was_generated_to_fit(case):
        return
    if not 400 <= response.status_code < 500:
        return
    problem = problem_of(response)
    code, detail = problem.get("code"), problem.get("detail", "")
    for fault in problem.get("errors") or [{"pointer": "", "code": "", "message": detail}]:
        pointer = re.sub(r"/\d+(?=/|$)", "/0", fault["pointer"])
        reason = allowed(code, pointer, fault["code"], fault["message"])
        kind = f"{operation_id(case)} {code} {pointer} {fault['code']}".rstrip()
        if reason is not None:
            counts["exceptions"][f"{code} {fault['code']}".rstrip()] += 1
            continue
        found(kind, f"The schema allows it, but it is refused: {fault['message']}")


def found(kind, sentence):
    """Every kind of fault is reported once, with the request that showed it first."""
    counts["faults"][kind] += 1
    if counts["faults"][kind] > 1:
        return
    raise AssertionError(f"{kind}\n{sentence}")


@schemathesis.check
def documented_problem(ctx, response, case):
    """The operation lists every problem that it answers."""
    if response.status_code < 400 or not is_of_an_operation(case) or response.status_code in (405, 414, 431):
        return
    answer, code = documented(case, response.status_code), problem_of(response).get("code")
    media = (answer or {}).get("content", {}).get("application/problem+json", {})
    if answer is not None and code not in media.get("examples", {}):
        kind = f"{operation_id(case)} undocumented problem {response.status_code} {code}"
        found(kind, "The operation does not list this problem.")


@schemathesis.check
def documented_headers(ctx, response, case):
    """A response has the headers that it declares, and those that every HTTP server may send."""
    answer = documented(case, response.status_code) if is_of_an_operation(case) else None
    if answer is None:
        return
    declared = {name.lower() for name in answer.get("headers", {})}
    unknown = sorted(name for name in response.headers if name.lower() not in declared | STANDARD_HEADERS)
    if unknown:
        found(f"{operation_id(case)} undocumented headers {', '.join(unknown)}", "The response does not declare them.")


@atexit.register
def report():
    Path(RUN["report"]).write_text(json.dumps(counts))
