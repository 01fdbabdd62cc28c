"""What the chart's jupyterhub_config.py makes of its values, for the hubs of these tests."""

from traitlets.config import Config

NAMESPACE = "team-of-the-test"
RELEASE = "release-of-the-test"


def configured(values, namespace=NAMESPACE, release=RELEASE):
    """The traitlets config that the chart's jupyterhub_config.py makes of these values, where we depend on it."""
    c = Config()
    singleuser, storage = values["singleuser"], values["singleuser"]["storage"]
    spawner = c.KubeSpawner
    spawner.namespace = namespace
    spawner.common_labels = {"app": "jupyterhub", "release": release}
    spawner.service_account = singleuser["serviceAccountName"]
    spawner.environment = singleuser["extraEnv"]
    spawner.extra_labels = singleuser["extraLabels"]
    spawner.cmd = singleuser["cmd"]
    spawner.image = "{name}:{tag}".format(**singleuser["image"])
    spawner.mem_guarantee = singleuser["memory"]["guarantee"]
    spawner.storage_pvc_ensure = True
    spawner.storage_capacity = storage["capacity"]
    spawner.storage_extra_labels = storage["extraLabels"]
    spawner.storage_access_modes = storage["dynamic"]["storageAccessModes"]
    claim, volume = storage["dynamic"]["pvcNameTemplate"], storage["dynamic"]["volumeNameTemplate"]
    spawner.pvc_name_template = claim
    spawner.volumes = [{"name": volume, "persistentVolumeClaim": {"claimName": claim}}]
    spawner.volume_mounts = [{"name": volume, "mountPath": storage["homeMountPath"]}]
    c.Spawner.consecutive_failure_limit = values["hub"]["consecutiveFailureLimit"]
    for section, settings in values["hub"]["config"].items():
        c[section].update(settings)
    shared = {"c": c}
    for _name, text in sorted(values["hub"]["extraConfig"].items()):
        exec(text, shared)
    return c
