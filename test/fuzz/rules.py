"""The refusals that are not about the shape of a request, each with its reason.

A request that its schema allows may be refused for what is stored, for who asks, or by one of these rules. Every other
refusal is a fault of the contract: state the rule in the schema. A rule belongs here only when JSON Schema cannot express
it, or not in a form that a reader understands; the property's description states it then.
"""

import re
from dataclasses import dataclass

# Problems that depend on what is stored, on who asks, or on other systems: no schema knows those.
STATE = {
    "unauthenticated": "depends on the token",
    "forbidden": "depends on the caller's role",
    "not_found": "depends on what exists and who may see it",
    "notebook_not_ordered": "depends on what exists",
    "team_exists": "depends on what exists",
    "server_busy": "depends on the server's open operation",
    "server_not_running": "depends on the server",
    "profile_differs": "depends on the server",
    "no_environment": "depends on the catalogue",
    "quota_exceeded": "depends on the team's quota and what is used of it",
    "last_owner": "depends on the team's members",
    "removes_you": "depends on the caller",
    "homes_exist": "depends on the team's home volumes",
    "secret_exists": "depends on the team's secret",
    "secret_version_destroyed": "depends on the version",
    "cannot_shrink": "depends on the notebook's present configuration",
    "deleting": "depends on the team",
    "revision_mismatch": "depends on the resource's revision",
    "idempotency_key_in_use": "depends on earlier requests",
    "idempotency_key_reused": "depends on earlier requests",
    "too_many_requests": "depends on earlier requests",
    "slug_reserved": "depends on the operator's RESERVED_SLUGS; getLimits lists them",
    "email_domain_not_allowed": "depends on the operator's MEMBER_EMAIL_DOMAINS; getLimits lists them",
    "invalid_cursor": "a cursor is opaque, and belongs to one list of one caller",
    "registry_not_allowed": "depends on the operator's registries",
    "image_not_allowed": "depends on the operator's GitHub organisation and on the team's garTeam",
    "image_not_found_or_private": "depends on the registry",
    "tag_not_found": "depends on the registry",
    "image_broken": "depends on the registry",
    "platform_missing": "depends on the image",
    "not_acceptable": "depends on the Accept header, which OpenAPI keeps out of the parameters",
}


@dataclass(frozen=True)
class Rule:
    """Faults with one of these codes, at pointers that match, in requests with this problem."""

    codes: tuple[str, ...]
    pointer: str
    reason: str
    problem: str = "validation_failed"
    detail: str = ""

    def covers(self, problem, pointer, code, message):
        return (
            problem == self.problem
            and code in self.codes
            and re.fullmatch(self.pointer, pointer) is not None
            and re.search(self.detail, message) is not None
        )


HOSTS = r"(/allowlist/hosts/\d+|/path/entry|/destination)"

RULES = ()

# What every HTTP server may send, and the security headers that are the same in every response.
STANDARD_HEADERS = {
    "allow",
    "cache-control",
    "connection",
    "content-disposition",
    "content-length",
    "content-type",
    "date",
    "keep-alive",
    "transfer-encoding",
    "vary",
    "www-authenticate",
    "content-security-policy",
    "cross-origin-opener-policy",
    "cross-origin-resource-policy",
    "origin-agent-cluster",
    "referrer-policy",
    "strict-transport-security",
    "x-content-type-options",
    "x-dns-prefetch-control",
    "x-download-options",
    "x-frame-options",
    "x-permitted-cross-domain-policies",
    "x-xss-protection",
}


def allowed(problem, pointer, code, message):
    """Why a request that fits its schema may be refused like this; None when it may not."""
    if problem in STATE:
        return STATE[problem]
    return next((rule.reason for rule in RULES if rule.covers(problem, pointer, code, message)), None)
