/** Where the hub finds the files of the ConfigMap `notebook-profiles`. Mounted as a folder: a subPath is never updated. */
export const profilesFolder = '/etc/knada-notebooks';

/**
 * The Python code that the hub runs at startup (hub.extraConfig), as part of JupyterHub’s config file, which defines `c`.
 *
 * Profiles are read from the mounted files at every start of a notebook, so a change needs no restart of the hub.
 * A start with `knada_revision` in its user options waits until that revision is mounted: the kubelet may take a minute;
 * an annotation on the hub’s pod reduces that to a second or two. JupyterHub 5 takes the whole body of the start request
 * as user options, JupyterHub 6 its `user_options`; the spawner sees the same options either way.
 *
 * JupyterHub stores a user’s options and repeats them in a start that brings none. So each start stores which profile it
 * was and when that was chosen: an image that was ordered later takes precedence, on the form and in every start.
 * Every rejection is a sentence that begins with its code; JupyterHub passes `jupyterhub_message` to the client.
 */
export const hubConfig = `\
import asyncio
import json
import os
import time

from tornado import web


class NotebookRefused(web.HTTPError):
    """The notebook is not started, and the message says why. JupyterHub logs an HTTPError without a traceback."""

    def __init__(self, code, sentence):
        super().__init__(500, f"{code}: {sentence}")
        self.jupyterhub_message = f"{code}: {sentence}"


def is_revision(value):
    return isinstance(value, int) and not isinstance(value, bool)


def chosen_at(options):
    """The revision of the profiles when a user chose one; 0 when that is not recorded, as by earlier versions."""
    value = options.get("knada_chosen_at")
    return value if is_revision(value) else 0


class NotebookProfiles:
    """The KubeSpawner profiles in the mounted files, as they were last read without a fault."""

    def __init__(self, folder, wait_seconds, poll_seconds):
        self.folder = folder
        self.wait_seconds = wait_seconds
        self.poll_seconds = poll_seconds
        self.revision = -1
        # The revision that brought the team's image: a profile that was chosen before it counts no longer.
        self.image_revision = 0
        self.profiles = None
        self.fault = None

    def _text(self, name):
        with open(os.path.join(self.folder, name), encoding="utf-8") as file:
            return file.read()

    def _read(self):
        # The revision first: the kubelet swaps all files at once, so what is read after it is never older.
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
        try:
            image_revision = int(self._text("image-revision"))
        except FileNotFoundError:
            # Written by an earlier version.
            image_revision = 0
        return revision, image_revision, profiles

    def load(self):
        """Takes over what the files say; what cannot be read leaves the last good list in use."""
        try:
            self.revision, self.image_revision, self.profiles = self._read()
            self.fault = None
        except (OSError, ValueError) as error:
            self.fault = str(error)

    async def refresh(self, log):
        """The same without blocking the hub, and with one line in its log for each new fault."""
        before = self.fault
        await asyncio.to_thread(self.load)
        if self.fault is not None and self.fault != before:
            log.error("Notebook profiles are not readable, the last good list stays in use: %s", self.fault)

    def remembered(self, options):
        """
        The slug that a user's options stand for now: the profile that they name, unless it is no longer offered or the
        team's image was ordered later.
        """
        slugs = [profile["slug"] for profile in self.profiles or []]
        wanted = options.get("profile")
        if wanted in slugs and chosen_at(options) >= self.image_revision:
            return wanted
        defaults = [profile["slug"] for profile in self.profiles or [] if profile.get("default")]
        return next(iter(defaults + slugs), None)

    def preselected(self, options):
        """The profiles with the one as the default that the user starts with next."""
        slug = self.remembered(options)
        return [{**profile, "default": profile["slug"] == slug} for profile in self.profiles or []]

    async def choose(self, spawner):
        """Decides on the profile of a start and stores it. Refuses a start for which the profiles are not there."""
        options = dict(spawner.user_options or {})
        # A form or a client of the hub's own sends neither, our API both. One alone is in stored options that JupyterHub
        # repeats: the date, or the revision that an earlier version left there.
        is_stored = ("knada_revision" in options) != ("knada_chosen_at" in options)
        await self.until_mounted(options.pop("knada_revision", -1), spawner.log)
        wanted = options.get("profile")
        slugs = [profile["slug"] for profile in self.profiles]
        if wanted and wanted not in slugs and not is_stored:
            raise NotebookRefused(
                "no_such_profile", f"{wanted!r} is not offered any more. There are: {', '.join(slugs)}."
            )
        if not is_stored:
            options.setdefault("knada_chosen_at", self.revision)
        slug = self.remembered(options)
        date = chosen_at(options) if slug == wanted else self.revision
        spawner.user_options = {**options, "profile": slug, "knada_chosen_at": date}
        if spawner.orm_spawner is not None:
            spawner.orm_spawner.user_options = spawner.user_options

    async def until_mounted(self, needed, log):
        """Waits for this revision of the profiles. Refuses the start when it does not come, or offers nothing."""
        if not is_revision(needed):
            raise NotebookRefused("invalid_revision", f"knada_revision must be an integer, not {needed!r}.")
        deadline = time.monotonic() + self.wait_seconds
        await self.refresh(log)
        while self.revision < needed:
            if time.monotonic() >= deadline:
                raise NotebookRefused(
                    "profiles_not_synced",
                    f"The hub still has revision {self.revision} of the notebook's profiles, not {needed}, "
                    f"after {self.wait_seconds:g} seconds"
                    + (f" ({self.fault})." if self.fault else ". Try again in a minute."),
                )
            await asyncio.sleep(self.poll_seconds)
            await self.refresh(log)
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
    return notebook_profiles.preselected(spawner.user_options or {})


async def choose_notebook_profile(spawner):
    """Runs before the profile is applied, while the start can still be refused."""
    await notebook_profiles.choose(spawner)


def accept_user_options(spawner, user_options):
    """The hook above and KubeSpawner handle every option of a start. Without this, JupyterHub warns about them."""


c.KubeSpawner.profile_list = notebook_profile_list
c.KubeSpawner.pre_spawn_hook = choose_notebook_profile
# A hook of the platform's own stays.
if not any("apply_user_options" in c[section] for section in ("Spawner", "KubeSpawner")):
    c.KubeSpawner.apply_user_options = accept_user_options
`;
