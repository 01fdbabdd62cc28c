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


HOST = r"(/allowlist/hosts/0|/path/entry|/destination)"
FROM_LIST = "the server offers what it has now"

# Pointers have 0 for every index.
RULES = (
    # Comparisons of two fields, which getLimits lists as rules.
    Rule(("above_limit",), r"/resources/(cpu|memory)/guarantee", "the guarantee is compared with the limit"),
    Rule(("below_timeout",), r"/culling/maxAgeSeconds", "the maximum age is compared with the timeout"),
    Rule(("image_needed",), r"/standardEnvironments", "depends on the image, which a patch may leave as it is stored"),
    # A quantity is text; a pattern for 256Mi to 128Gi with decimals could not be read. getLimits has the bounds.
    Rule(("out_of_range",), r"/resources/memory/(guarantee|limit)|/storage/home", "the bounds of a quantity"),
    # Comparisons within a list.
    Rule(("duplicate",), r"/members/0/(email|username)|/username", "compared with the other members"),
    Rule(("username_needed",), r"/members/0/username|/username", "depends on the e-mail, which is the default"),
    Rule(("creator_is_owner",), r"/members/0/role", "compared with the caller"),
    Rule(("too_many",), r"/members", "the creator is added to the members of the request"),
    # What is offered at the moment.
    Rule(("not_in_list",), r"/python", f"{FROM_LIST}: listEnvironments"),
    Rule(("not_in_list",), r"/profile", f"{FROM_LIST}: listProfiles"),
    Rule(("out_of_range",), r"/until", "compared with the present time"),
    # Counted in another unit than the characters of the text.
    Rule(("payload_too_large",), r"/data(Base64)?", "counted in bytes"),
    Rule(("not_text",), r"/data", "a lone surrogate, which no UTF-8 text has"),
    Rule(("",), "", "the path's part of the text is counted", problem="image_invalid", detail="at most 255 characters"),
    # The grammar of requirements.txt (PEP 440, PEP 508) is no regular language that one could read.
    Rule(
        (
            "invalid_requirement", "invalid_extras", "invalid_version", "invalid_marker", "invalid_url", "invalid_hash",
            "https_required", "credentials_not_allowed", "variable_not_allowed", "url_without_name", "path_not_allowed",
            "vcs_not_allowed", "option_not_allowed", "control_character",
        ),
        r"/requirements(/0)?", "the grammar of pip's requirements",
    ),
    # A repository is accepted in every usual spelling; the pattern has their common form.
    Rule(("owner_not_allowed", "registry_not_allowed"), r"/ghcrRepositories/0", "depends on the operator's organisation"),
    Rule(("bad_format",), r"/ghcrRepositories/0", "what a page of github.com shows depends on the path of its address"),
    # Hosts: what may be opened depends on the operator's ranges and presets, and on the tables of IDNA and IANA.
    *(
        Rule(codes, HOST, reason, problem)
        for problem in ("invalid_allowlist", "validation_failed")
        for codes, reason in (
            (("forbidden_range", "internal_name", "cidr_not_allowed"), "depends on the operator's ranges and suffixes"),
            (("unknown_preset", "too_many_entries"), "depends on the operator's presets and on the other entries"),
            (("cidr_host_bits", "ambiguous_ip", "invalid_ipv4"), "arithmetic on the numbers of an address"),
            (("port_range_reversed", "port_range_too_wide", "port_out_of_range"), "arithmetic on port numbers"),
            (("invalid_idn", "ambiguous_unicode", "whitespace_in_host"), "the tables of Unicode and IDNA"),
            (("label_too_long", "name_too_long"), "counted in the name's ASCII form (RFC 1035)"),
            (("invalid_label",), "a name must not end in a number, which would be read as an address"),
            (("scheme_port_mismatch", "protocol_not_supported", "invalid_port"), "depends on the scheme and the text after the port"),
        )
    ),
)

# What every HTTP server may send, and the security headers that are the same in every response.
STANDARD_HEADERS = {
    # CORS (Fetch standard): sent where an operator allows browsers.
    "access-control-expose-headers",
    "accept",
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
