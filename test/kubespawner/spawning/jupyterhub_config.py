"""
A real JupyterHub in a real cluster, configured as the chart's jupyterhub_config.py does from its values and mounts.

KNADA_TEST_HUB names a JSON file with what differs from a cluster with a network: addresses, and where things are mounted.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from chart_config import configured

with open(os.environ["KNADA_TEST_HUB"], encoding="utf-8") as file:
    settings = json.load(file)
values = settings["values"]


def secret(key):
    """A key of the Secret that the values name, else of the chart's own: the order of the chart."""
    for folder in ("existing-secret", "secret"):
        path = Path(settings["mounts"], "usr/local/etc/jupyterhub", folder, key)
        if path.exists():
            return path.read_text(encoding="utf-8")
    raise KeyError(key)


c = get_config()  # noqa: F821
c.merge(configured(values, settings["namespace"], settings["release"]))

c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.bind_url = settings["url"]
c.JupyterHub.hub_bind_url = settings["hubUrl"]
c.JupyterHub.db_url = f"sqlite:///{settings['folder']}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret = secret("hub.config.JupyterHub.cookie_secret")
c.CryptKeeper.keys = secret("hub.config.CryptKeeper.keys").split(";")
c.JupyterHub.cleanup_servers = False
c.JupyterHub.last_activity_interval = 60
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = settings["proxyApiUrl"]
c.ConfigurableHTTPProxy.auth_token = secret("hub.config.ConfigurableHTTPProxy.auth_token")

services = [
    {"name": name, "api_token": secret(f"hub.services.{name}.apiToken"), **service}
    for name, service in values["hub"]["services"].items()
]
roles = [{"name": name, **role} for name, role in values["hub"]["loadRoles"].items()]
cull = values["cull"]
if cull["enabled"]:
    command = [sys.executable, "-m", "jupyterhub_idle_culler", f"--url={settings['hubUrl']}/hub/api"]
    command += [f"--timeout={cull['timeout']}", f"--cull-every={cull['every']}", f"--max-age={cull['maxAge']}"]
    services.append({"name": "jupyterhub-idle-culler", "command": command})
    roles.append(
        {
            "name": "jupyterhub-idle-culler",
            "services": ["jupyterhub-idle-culler"],
            "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
        }
    )
c.JupyterHub.services = services
c.JupyterHub.load_roles = roles

# A busy machine takes longer than the chart's 30 seconds.
c.Spawner.http_timeout = 180
