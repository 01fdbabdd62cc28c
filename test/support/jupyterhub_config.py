"""A real JupyterHub for tests, set up as the chart does where it matters; settings come from KNADA_TEST_HUB."""

import asyncio
import json
import os

from jupyterhub.spawner import SimpleLocalProcessSpawner

with open(os.environ["KNADA_TEST_HUB"], encoding="utf-8") as file:
    settings = json.load(file)
folder = settings["folder"]


class Refused(Exception):
    def __init__(self, sentence):
        super().__init__(sentence)
        self.jupyterhub_message = sentence


class TestSpawner(SimpleLocalProcessSpawner):
    """A local process, which a test can hold or fail by a file, and whose pid is written down while it runs."""

    def file(self, what):
        return os.path.join(folder, what, str(self.pid) if what == "pids" else self.user.name)

    async def held(self, what):
        while os.path.exists(self.file(what)):
            await asyncio.sleep(0.05)

    async def start(self):
        if os.path.exists(self.file("fail")):
            with open(self.file("fail"), encoding="utf-8") as file:
                sentence = file.read()
            os.remove(self.file("fail"))
            raise Refused(sentence)
        await self.held("hold-start")
        address = await super().start()
        with open(self.file("pids"), "w", encoding="utf-8"):
            return address

    async def stop(self, now=False):
        await self.held("hold-stop")
        pid = self.file("pids")
        await super().stop(now=now)
        if os.path.exists(pid):
            os.remove(pid)


c = get_config()  # noqa: F821

c.JupyterHub.bind_url = settings["url"]
c.JupyterHub.hub_bind_url = settings["hubUrl"]
c.JupyterHub.db_url = f"sqlite:///{folder}/jupyterhub.sqlite"
c.JupyterHub.cookie_secret_file = f"{folder}/cookie_secret"
# The proxy is a process of its own, and outlives the hub as the servers do.
c.ConfigurableHTTPProxy.should_start = False
c.ConfigurableHTTPProxy.api_url = settings["proxyApiUrl"]
c.ConfigurableHTTPProxy.auth_token = settings["proxyToken"]
c.JupyterHub.cleanup_servers = False
c.JupyterHub.cleanup_proxy = False

c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_existing_users = True

c.JupyterHub.services = [
    {"name": "knada-notebooks", "api_token": settings["token"]},
    {"name": "test-driver", "api_token": settings["driverToken"]},
]
c.JupyterHub.load_roles = [
    {"name": "knada-notebooks", "services": ["knada-notebooks"], "scopes": settings["scopes"]},
    {
        "name": "test-driver",
        "services": ["test-driver"],
        "scopes": ["list:users", "read:servers", "delete:servers", "read:tokens", "access:servers"],
    },
]

# The chart’s; a stop, which it lets take ten seconds, is called slow sooner here.
c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 0, "slow_stop_timeout": 1}
# Minutes at the chart’s hub.
c.JupyterHub.last_activity_interval = 1
c.JupyterHub.activity_resolution = 0

c.JupyterHub.spawner_class = TestSpawner
c.SimpleLocalProcessSpawner.home_dir_template = folder + "/homes/{username}"
c.Spawner.cmd = [settings["singleuser"]]
c.Spawner.args = ["--allow-root"]
c.Spawner.start_timeout = 180
c.Spawner.http_timeout = 180
c.Spawner.poll_interval = 2
c.LocalProcessSpawner.interrupt_timeout = 3
c.Spawner.consecutive_failure_limit = 0
c.Spawner.environment = {
    "JUPYTERHUB_ACTIVITY_INTERVAL": "1",
    "JUPYTER_CONFIG_DIR": settings["notebookConfig"],
    "KNADA_TEST_REQUESTS": f"{folder}/requests",
}
