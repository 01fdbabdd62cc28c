import { digestForm, ghcrHost, tagName } from '../lib/oci.ts';
import type { imageRegistries } from '../model/image.ts';
import type { Fault } from '../model/problems.ts';
import { parseReference, printReference } from './reference.ts';
import { checkRequirements } from './requirements.ts';

export interface ScaffoldOrder {
  readonly registry: (typeof imageRegistries)[number];
  /** For Artifact Registry: the team’s name at Nais, which is also the name of its repository. */
  readonly team: string;
  /** The GitHub repository, and the name of the image. */
  readonly name: string;
  /** The owner in GitHub and GHCR. */
  readonly owner: string;
  readonly python: string;
  readonly baseImage: { readonly reference: string; readonly digest: string; readonly tag: string };
  /** The text of requirements.txt. */
  readonly requirements: string;
}

export type Scaffold =
  | { readonly ok: true; readonly files: Readonly<Record<string, string>> }
  | { readonly ok: false; readonly errors: readonly Fault[] };

/** Versions of the GitHub actions: the current majors on 2026-06-18. */
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

/**
 * The files of a repository that builds a notebook image on a standard image, by path. Every value is validated before
 * it is written into a file, so no value can inject an instruction.
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
      'A name consists of lower-case letters and digits, separated by single ".", "_" or "-".',
    ],
    [
      '/team',
      order.team,
      teamName,
      'A team consists of lower-case letters, digits and single "-", starting with a letter.',
    ],
    ['/owner', order.owner, ownerName, 'An owner consists of letters, digits and single "-".'],
    ['/python', order.python, pythonVersion, 'A Python version looks like 3.11.'],
    [
      '/baseImage/digest',
      order.baseImage.digest,
      digestForm,
      'A digest is sha256: and 64 hexadecimal digits in lower case.',
    ],
    ['/baseImage/tag', order.baseImage.tag, tagName, 'This is not a tag.'],
  ];
  return rules
    .filter(([, value, pattern]) => value.length > 128 || !pattern.test(value))
    .map(([pointer, , , message]) => ({ pointer, code: 'bad_format', message }));
}

// The requirements are copied outside the home directory, which the home volume hides.
function dockerfile({ owner, name, python, baseImage }: ScaffoldOrder, repository: string): string {
  return `# Python ${python}. The digest pins one build of ${repository}:${baseImage.tag}.
# To update, look up the current environments and replace the digest.
FROM ${repository}@${baseImage.digest}

LABEL org.opencontainers.image.source=https://github.com/${owner}/${name}

# As root, so packages are installed into the image. Packages that are installed in a running notebook without
# --user are lost when it stops.
USER root

COPY requirements.txt /opt/image/requirements.txt
# Changes with every run of the workflow; otherwise the cache would return the packages of the first build.
ARG BUILD=0
RUN pip install --no-cache-dir --requirement /opt/image/requirements.txt

# The notebook runs as an unprivileged user. A numeric ID lets Kubernetes verify that.
USER \${NB_UID}
`;
}

const dockerignore = `# Only the files listed here are part of the build. Add a line for each further file that the Dockerfile copies.
*
!requirements.txt
`;

const trigger = `on:
  push:
    branches: [main]
  # Weekly, so packages without an exact version stay up to date.
  schedule:
    - cron: "17 4 * * 1"
  workflow_dispatch:

# Consecutive pushes build one after the other, so the newest tag is the newest commit.
concurrency:
  group: image
`;

/** nais/docker-build-push names the image after the repository and tags it <date>-<time>-<commit>, which sorts. */
function garWorkflow({ team, name }: ScaffoldOrder): string {
  return `# Builds ${name} and pushes it to ${team}'s repository in Google Artifact Registry.
# Once: authorize this GitHub repository for ${team} in Nais Console.
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
 * One platform and no attestation: the tag is then a single manifest, which deleting untagged versions cannot break.
 */
function ghcrWorkflow({ owner, name }: ScaffoldOrder): string {
  const image = `${ghcrHost}/${owner.toLowerCase()}/${name}`;
  return `# Builds ${image} and pushes it to GitHub's container registry.
# Once, after the first push: make the package public in its settings; the cluster cannot pull a private one.
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
      # In UTC, so tags sort by time; with the commit, so they are unique.
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
