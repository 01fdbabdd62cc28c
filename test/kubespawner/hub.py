"""A hub without its web server: the real KubeSpawner, configured by our chart values, answering questions.

The argument is a JSON file with the chart values. One JSON question a line on stdin, one JSON answer a line on stdout
with the question's id, in the order in which they are ready.
"""

import asyncio
import json
import logging
import sys
import time
from types import SimpleNamespace

from jupyterhub import __version__ as hub_version
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.crypto import CryptKeeper
from jupyterhub.scopes import scope_definitions
from kubernetes_asyncio.client import ApiClient
from kubespawner import KubeSpawner
from kubespawner import __version__ as spawner_version
from tornado.web import HTTPError

from chart_config import configured


class AzureAdOAuthenticator(Authenticator):
    """Stands in for the class of that name, which needs an identity provider: its config section is what counts."""


class Hub:
    def __init__(self, values):
        self.config = configured(values)

    def spawner(self, user_options=None):
        spawner = KubeSpawner(config=self.config, _mock=True, user_options=user_options or {})
        spawner.log = logging.getLogger("hub")
        # The row of JupyterHub's database, which keeps a user's options for the next start.
        spawner.orm_spawner = SimpleNamespace(user_options=user_options, server=None, name="")
        return spawner

    async def start(self, user_options):
        """As far as JupyterHub's User.spawn and KubeSpawner's start go before they need a cluster."""
        spawner = self.spawner(user_options)
        try:
            await spawner.run_pre_spawn_hook()
        except Exception as error:
            if not hasattr(error, "jupyterhub_message"):
                raise
            return {"refused": error.jupyterhub_message}
        await spawner.load_user_options()
        plain = ApiClient().sanitize_for_serialization
        return {
            "pod": plain(await spawner.get_pod_manifest()),
            "claim": plain(spawner.get_pvc_manifest()),
            "stored": spawner.orm_spawner.user_options,
            "deletesClaim": spawner.delete_pvc,
            "failureLimit": spawner.consecutive_failure_limit,
        }

    async def logged(self, user_options):
        """What JupyterHub's User.spawn logs of a start's options, and whether it logs its failure with a traceback."""
        spawner = self.spawner(user_options)
        messages = []
        handler = logging.Handler()
        handler.emit = lambda record: messages.append(record.getMessage())
        spawner.log.addHandler(handler)
        try:
            await spawner._run_apply_user_options(spawner.user_options)
            await spawner.run_pre_spawn_hook()
            return {"messages": messages, "traceback": False}
        except Exception as error:
            return {"messages": messages, "traceback": not isinstance(error, HTTPError)}
        finally:
            spawner.log.removeHandler(handler)

    async def form(self):
        return {"html": await self.spawner().get_options_form()}

    async def unknown(self, traits, scopes):
        """What of these the real classes have never heard of."""
        known = KubeSpawner.class_trait_names(config=True)
        return {
            "traits": [name for name in traits if name not in known],
            "scopes": [name for name in scopes if name not in scope_definitions],
        }

    async def keys(self, cookie_secret, crypt_keys):
        """The bytes that JupyterHub makes of the texts in our Secret."""
        keeper = CryptKeeper(keys=crypt_keys.split(";"))
        return {
            "cookieSecret": len(JupyterHub(cookie_secret=cookie_secret).cookie_secret),
            "cryptKeys": [len(key) for key in keeper.keys],
        }

    async def allowed(self, existing):
        """Who may log in when this is the hub's one user."""

        class User:
            name = existing

        authenticator = AzureAdOAuthenticator(config=self.config)
        authenticator.add_user(User)
        return {name: bool(authenticator.check_allowed(name)) for name in (existing, "stranger")}

    async def versions(self):
        return {"jupyterhub": hub_version, "kubespawner": spawner_version}


async def main(values_file):
    with open(values_file, encoding="utf-8") as file:
        hub = Hub(json.load(file))

    async def answer(question):
        try:
            result = await getattr(hub, question["ask"])(**question.get("with", {}))
        except Exception as error:
            logging.exception("unanswered")
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"id": question["id"], **result}), flush=True)

    loop = asyncio.get_running_loop()
    questions = set()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        task = asyncio.create_task(answer(json.loads(line)))
        questions.add(task)
        task.add_done_callback(questions.discard)


def refuse_to_sleep(seconds):
    raise AssertionError(f"time.sleep({seconds}) would hold up the whole hub")


time.sleep = refuse_to_sleep
logging.basicConfig(stream=sys.stderr, level=logging.INFO)
asyncio.run(main(*sys.argv[1:]))
