"""Calls every operation of a calls file and prints what was read: every_operation.py <url> <calls>"""

import inspect
import json
import re
import sys
from typing import Any, Callable

import knada_notebooks
from knada_notebooks import ApiClient, ApiException, Configuration, models

url, calls = sys.argv[1], json.load(open(sys.argv[2]))
client = ApiClient(Configuration(host=url, access_token="token"))
serialize: Callable[[Any], Any] = client.sanitize_for_serialization


def snake(name: str) -> str:
    return re.sub(r"(?<=[a-z])(?=[A-Z])|-", "_", name).lower()


def bind(call: Any) -> dict[str, Any]:
    arguments = {snake(one["name"]): one["value"] for one in call["parameters"]}
    if call["body"]:
        model = getattr(models, call["body"]["schema"])
        arguments[snake(call["body"]["schema"])] = model.model_validate(call["body"]["value"])
    return arguments


for call in calls:
    api = getattr(knada_notebooks, call["tag"].capitalize() + "Api")(client)
    line = {"operation": call["operation"]}
    try:
        answer = getattr(api, snake(call["operation"]))(**bind(call))
        line["answer"] = serialize(answer)
    except ApiException as error:
        line["problem"] = serialize(error.data)
    print(json.dumps(line))
