/** Where the hub finds the files of the ConfigMap `notebook-profiles`. Mounted as a folder: a subPath is never updated. */
export const profilesFolder = '/etc/knada-notebooks';

/**
 * The Python code that the hub runs at startup (hub.extraConfig), as part of JupyterHub’s config file, which defines `c`.
 *
 * Profiles are read from the mounted files at every start of a notebook, so a change needs no restart of the hub.
 * A start with `knada_revision` in its user options waits until that revision is mounted: the kubelet may take a minute;
 * an annotation on the hub’s pod reduces that to a second or two. JupyterHub 5 takes the whole body of the start request
 * as user options, JupyterHub 6 its `user_options`; the spawner sees the same options either way.
 * Every rejection is a sentence that begins with its code; JupyterHub passes `jupyterhub_message` to the client.
 */
export const hubConfig = `\
import asyncio
import json
import os
import time


class NotebookRefused(Exception):
    """The notebook is not started, and the message says why."""

    def __init__(self, code, sentence):
        super().__init__(f"{code}: {sentence}")
        self.jupyterhub_message = str(self)


class NotebookProfiles:
    """The KubeSpawner profiles in the mounted files, as they were last read without a fault."""

    def __init__(self, folder, wait_seconds, poll_seconds):
        self.folder = folder
        self.wait_seconds = wait_seconds
        self.poll_seconds = poll_seconds
        self.revision = -1
        self.profiles = None
        self.fault = None

    def _text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def _read(self):
        # The revision first: the kubelet swaps both files at once, so profiles read after it are never older.
        revision = int(self._text("revision"))
        profiles = json.loads(self._text("profiles.json"))
        if not isinstance(profiles, list):
            raise ValueError("profiles.json is not a list")
        for profile in profiles:
            if not isinstance(profile, dict):
                raise ValueError("a profile is not an object")
            for key, kind in (("slug", str), ("display_name", str), ("kubespawner_override", dict)):
                if not isinstance(profile.get(key), kind):
                    raise ValueError(f"a profile has no usable {key}")
        return revision, profiles

    def load(self):
        """Takes over what the files say; what cannot be read leaves the last good list in use."""
        try:
            self.revision, self.profiles = self._read()
            self.fault = None
        except (OSError, ValueError) as error:
            self.fault = str(error)

    async def refresh(self, log):
        """The same without blocking the hub, and with one line in its log for each new fault."""
        before = self.fault
        await asyncio.to_thread(self.load)
        if self.fault is not None and self.fault != before:
            log.error("Notebook profiles are not readable, the last good list stays in use: %s", self.fault)

    async def check(self, spawner):
        """Refuses a start for which the profiles are not there."""
        options = spawner.user_options or {}
        needed = options.get("knada_revision", -1)
        if isinstance(needed, bool) or not isinstance(needed, int):
            raise NotebookRefused("invalid_revision", f"knada_revision must be an integer, not {needed!r}.")
        deadline = time.monotonic() + self.wait_seconds
        await self.refresh(spawner.log)
        while self.revision < needed:
            if time.monotonic() >= deadline:
                raise NotebookRefused(
                    "profiles_not_synced",
                    f"The hub still has revision {self.revision} of the notebook's profiles, not {needed}, "
                    f"after {self.wait_seconds:g} seconds"
                    + (f" ({self.fault})." if self.fault else ". Try again in a minute."),
                )
            await asyncio.sleep(self.poll_seconds)
            await self.refresh(spawner.log)
        if self.profiles is None:
            raise NotebookRefused(
                "profiles_not_synced",
                f"The hub has not been able to read the notebook's profiles yet ({self.fault}). Try again in a minute.",
            )
        if not self.profiles:
            raise NotebookRefused(
                "no_environment",
                "There is nothing to start: the team has no image of its own, "
                "and the platform offers no Python environment.",
            )
        wanted = options.get("profile")
        slugs = [profile["slug"] for profile in self.profiles]
        if wanted and wanted not in slugs:
            raise NotebookRefused(
                "no_such_profile", f"{wanted!r} is not offered any more. There are: {', '.join(slugs)}."
            )


notebook_profiles = NotebookProfiles(
    folder=os.environ.get("KNADA_PROFILES_FOLDER", "${profilesFolder}"),
    wait_seconds=float(os.environ.get("KNADA_PROFILES_WAIT_SECONDS", "30")),
    poll_seconds=float(os.environ.get("KNADA_PROFILES_POLL_SECONDS", "0.5")),
)
# Read once before anybody asks: from here on there is a good list to fall back on.
notebook_profiles.load()


# Plain functions, because traitlets deep-copies what it is configured with for every spawner: a bound method would
# take a copy of its object along, and the last good list with it.
async def notebook_profile_list(spawner):
    """Asked for the form, and for every start."""
    await notebook_profiles.refresh(spawner.log)
    return notebook_profiles.profiles or []


async def check_notebook_profiles(spawner):
    """Runs before the profile is applied, while the start can still be refused."""
    await notebook_profiles.check(spawner)


c.KubeSpawner.profile_list = notebook_profile_list
c.KubeSpawner.pre_spawn_hook = check_notebook_profiles
`;
