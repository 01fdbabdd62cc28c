import type { imageRegistries } from '../model/image.ts';
import type { Fault } from '../model/problems.ts';
import { parseReference, printReference } from './reference.ts';
import { checkRequirements } from './requirements.ts';

export interface ScaffoldOrder {
  readonly registry: (typeof imageRegistries)[number];
  /** GAR: the team's name at Nais, which names its repository in the registry. */
  readonly team: string;
  /** The GitHub repository; the image gets the same name. */
  readonly name: string;
  /** The owner in GitHub and in GHCR. */
  readonly owner: string;
  readonly python: string;
  readonly baseImage: { readonly reference: string; readonly digest: string; readonly tag: string };
  /** The text of requirements.txt. */
  readonly requirements: string;
}

export type Scaffold =
  | { readonly ok: true; readonly files: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly errors: readonly Fault[] };

/** Versions of GitHub's actions, in one place: these were the current majors on 2026-06-18. */
const actions = {
  checkout: 'actions/checkout@v7',
  buildx: 'docker/setup-buildx-action@v4',
  login: 'docker/login-action@v4',
  build: 'docker/build-push-action@v7',
  nais: 'nais/docker-build-push@v0',
} as const;

const repositoryName = /^[a-z0-9]+(?:[._-][a-z0-9]+)*$/;
const teamName = /^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$/;
const ownerName = /^[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*$/;
const pythonVersion = /^3\.\d{1,2}$/;
const digestForm = /^sha256:[a-f0-9]{64}$/;
const tagForm = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;

/**
 * The files of a repository that builds a notebook image on a standard image, by path. Everything is checked
 * before it is written into a file, so that no value can add an instruction of its own.
 */
export function createScaffold(order: ScaffoldOrder): Scaffold {
  const base = parseReference(order.baseImage.reference);
  const requirements = checkRequirements(order.requirements);
  const errors = [...orderFaults(order), ...(requirements.ok ? [] : requirements.errors)];
  if (!base.ok) errors.push({ pointer: '/baseImage/reference', code: base.code, message: base.message });
  if (errors.length > 0 || !base.ok || !requirements.ok) return { ok: false, errors };

  const { host, path } = base.reference;
  return {
    ok: true,
    files: {
      Dockerfile: dockerfile(order, printReference({ host, path })),
      'requirements.txt': requirements.text,
      '.dockerignore': dockerignore,
      '.github/workflows/image.yaml': order.registry === 'gar' ? garWorkflow(order) : ghcrWorkflow(order),
    },
  };
}

function orderFaults(order: ScaffoldOrder): Fault[] {
  const rules: readonly (readonly [pointer: string, value: string, pattern: RegExp, message: string])[] = [
    [
      '/name',
      order.name,
      repositoryName,
      'A name is lower-case letters and digits, joined by single ".", "_" or "-".',
    ],
    [
      '/team',
      order.team,
      teamName,
      'A team is lower-case letters, digits and single "-", beginning with a letter.',
    ],
    ['/owner', order.owner, ownerName, 'An owner is letters, digits and single "-".'],
    ['/python', order.python, pythonVersion, 'A Python version looks like 3.11.'],
    [
      '/baseImage/digest',
      order.baseImage.digest,
      digestForm,
      'A digest is sha256: and 64 hexadecimal digits in lower case.',
    ],
    ['/baseImage/tag', order.baseImage.tag, tagForm, 'This is not a tag.'],
  ];
  return rules
    .filter(([, value, pattern]) => value.length > 128 || !pattern.test(value))
    .map(([pointer, , , message]) => ({ pointer, code: 'bad_format', message }));
}

// The requirements go to a directory outside the home: the home volume hides what the image has there.
function dockerfile({ owner, name, python, baseImage }: ScaffoldOrder, repository: string): string {
  return `# Python ${python}. The digest pins one build of ${repository}:${baseImage.tag}.
# For a newer one, look up the environments again and replace the digest.
FROM ${repository}@${baseImage.digest}

LABEL org.opencontainers.image.source=https://github.com/${owner}/${name}

# Root, so that packages end up in the image: what is installed in a running notebook without --user is gone
# when it stops.
USER root

COPY requirements.txt /opt/image/requirements.txt
# Another value at each run of the workflow: without it a cache would give back the packages of the first build.
ARG BUILD=0
RUN pip install --no-cache-dir --requirement /opt/image/requirements.txt

# The notebook runs as a user without rights. By number, so that Kubernetes can tell.
USER \${NB_UID}
`;
}

const dockerignore = `# Nothing gets into the build but what is named here. Add a line for each further file that the Dockerfile copies.
*
!requirements.txt
`;

const trigger = `on:
  push:
    branches: [main]
  # Weekly, so that packages without an exact version do not grow old.
  schedule:
    - cron: "17 4 * * 1"
  workflow_dispatch:

# Two pushes in a row build one after the other: the newest tag is the newest commit.
concurrency:
  group: image
`;

/** nais/docker-build-push names the image after the repository and tags it <date>-<time>-<commit>: sortable. */
function garWorkflow({ team, name }: ScaffoldOrder): string {
  return `# Builds ${name} and pushes it to ${team}'s repository in Google Artifact Registry.
# Once: authorise this GitHub repository for ${team} in Nais Console.
name: Build notebook image

${trigger}
permissions:
  contents: read
  id-token: write

jobs:
  build:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: ${actions.checkout}
      - uses: ${actions.nais}
        id: push
        with:
          team: "${team}"
          build_args: BUILD=\${{ github.run_id }}
      - name: Show the image
        env:
          IMAGE: \${{ steps.push.outputs.image }}
        run: printf '\`%s\`\\n' "$IMAGE" >> "$GITHUB_STEP_SUMMARY"
`;
}

/**
 * One platform and no attestation: the tag is then a single manifest, which a clean-up of untagged versions cannot
 * break.
 */
function ghcrWorkflow({ owner, name }: ScaffoldOrder): string {
  const image = `ghcr.io/${owner.toLowerCase()}/${name}`;
  return `# Builds ${image} and pushes it to GitHub's container registry.
# Once, after the first push: the package is private; make it public in its settings, else the cluster cannot
# pull it.
name: Build notebook image

${trigger}
permissions:
  contents: read
  packages: write

jobs:
  build:
    runs-on: ubuntu-latest
    timeout-minutes: 60
    steps:
      - uses: ${actions.checkout}
      - uses: ${actions.buildx}
      - uses: ${actions.login}
        with:
          registry: ghcr.io
          username: \${{ github.actor }}
          password: \${{ secrets.GITHUB_TOKEN }}
      # In UTC, so that tags sort by time; with the commit, so that they are unique.
      - name: Choose the tag
        id: tag
        run: echo "image=${image}:$(date -u +%Y%m%d-%H%M%S)-\${GITHUB_SHA::7}" >> "$GITHUB_OUTPUT"
      - uses: ${actions.build}
        with:
          context: .
          platforms: linux/amd64
          provenance: false
          push: true
          build-args: BUILD=\${{ github.run_id }}
          tags: \${{ steps.tag.outputs.image }}
      - name: Show the image
        env:
          IMAGE: \${{ steps.tag.outputs.image }}
        run: printf '\`%s\`\\n' "$IMAGE" >> "$GITHUB_STEP_SUMMARY"
`;
}
