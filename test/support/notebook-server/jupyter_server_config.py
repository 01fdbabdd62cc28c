"""Writes down what reaches a notebook server: every request with its headers, one JSON object a line."""

import json
import os

from tornado.web import Application

requests = os.path.join(os.environ["KNADA_TEST_REQUESTS"], os.environ["JUPYTERHUB_USER"])
find_handler = Application.find_handler


def recorded(self, request, **kwargs):
    with open(requests, "a", encoding="utf-8") as file:
        file.write(json.dumps({"path": request.path, "headers": dict(request.headers)}) + "\n")
    return find_handler(self, request, **kwargs)


Application.find_handler = recorded
