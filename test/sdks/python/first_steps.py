"""Orders a notebook, changes it and starts a server: python first_steps.py <team>"""

import os
import sys
import time

from knada_notebooks import (
    ApiClient,
    ApiException,
    Configuration,
    CpuResourcesOrder,
    CullingPatch,
    MemberSettings,
    NotebookOrder,
    NotebookPatch,
    NotebooksApi,
    EgressApi,
    Problem,
    ResourcesOrder,
    ServersApi,
    TeamOrder,
    TeamsApi,
)

slug = sys.argv[1]
client = ApiClient(Configuration(host=os.environ["API"], access_token=os.environ["TOKEN"]))
teams, notebooks, servers = TeamsApi(client), NotebooksApi(client), ServersApi(client)

team = teams.create_team(TeamOrder(slug=slug))
notebook = notebooks.put_notebook(slug, NotebookOrder())
while notebook.status.phase != "Ready":
    time.sleep(1)
    notebook = notebooks.get_notebook(slug)
print("notebook", notebook.status.phase)

read = notebooks.get_notebook_with_http_info(slug)
etag = (read.headers or {})["etag"]
two_hours = NotebookPatch(culling=CullingPatch(timeoutSeconds=7200))
notebook = notebooks.patch_notebook(slug, two_hours, if_match=etag)
print("cull timeout", notebook.spec.culling.timeout_seconds)
try:
    notebooks.patch_notebook(slug, two_hours, if_match=etag)
except ApiException as error:
    if not isinstance(error.data, Problem):
        raise
    print("conflict", error.data.status, error.data.code)

member = teams.add_member(slug, "ola.nordmann@nav.no", member_settings=MemberSettings(role="member"))
print("member", member.email)
notebook = EgressApi(client).add_allowlist_host(slug, "pypi.org")
print("allowlist", *notebook.spec.allowlist.hosts)

operation = servers.start_server(slug, team.members[0].username)
while not operation.done:
    time.sleep(1)
    operation = servers.get_operation(slug, operation.id)
if operation.error:
    sys.exit(f"{operation.error.code}: {operation.error.detail}")
print("server", operation.progress, operation.result.url if operation.result else None)

notebook = notebooks.patch_notebook(slug, NotebookPatch(culling=CullingPatch(timeoutSeconds=None)))
print("cull timeout", notebook.spec.culling.timeout_seconds)

try:
    bad_order = NotebookOrder(resources=ResourcesOrder(cpu=CpuResourcesOrder(guarantee=2, limit=1)))
    notebooks.put_notebook(slug, bad_order)
except ApiException as error:
    if not isinstance(error.data, Problem):
        raise
    faults = error.data.errors or []
    print("problem", error.data.status, error.data.code, *(f"{fault.pointer} {fault.code}" for fault in faults))
