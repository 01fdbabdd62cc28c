"""A real JupyterHub whose KubeSpawner is configured by our chart values; settings come from KNADA_TEST_HUB."""

import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from chart_config import configured
from jupyterhub.proxy import Proxy

with open(os.environ["KNADA_TEST_HUB"], encoding="utf-8") as file:
    settings = json.load(file)


class NoProxy(Proxy):
    """Remembers routes. The test asks the hub itself, and no notebook answers behind them."""

    should_start = False

    def __init__(self, **options):
        super().__init__(**options)
        self.routes = {}

    async def add_route(self, routespec, target, data):
        self.routes[routespec] = {"routespec": routespec, "target": target, "data": data}

    async def delete_route(self, routespec):
        self.routes.pop(routespec, None)

    async def get_all_routes(self):
        return self.routes


c = get_config()  # noqa: F821
c.merge(configured(settings["values"]))

c.JupyterHub.bind_url = settings["url"]
c.JupyterHub.hub_bind_url = settings["url"]
c.JupyterHub.db_url = f"sqlite:///{settings['folder']}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{settings['folder']}/cookie_secret"
c.JupyterHub.proxy_class = NoProxy
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
# The chart’s.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0}
c.JupyterHub.services = [{"name": "knada-notebooks", "api_token": settings["token"]}]
c.JupyterHub.load_roles = [
    {"name": "knada-notebooks", "services": ["knada-notebooks"], "scopes": settings["scopes"]}
]
