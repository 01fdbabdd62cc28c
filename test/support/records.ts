import type { HistoryEvent } from '../../src/model/history.ts';
import { deriveNames, type NamedTeam, type Naming, type TeamIdentity } from '../../src/model/names.ts';
import type { NotebookSpec } from '../../src/model/notebook.ts';
import type { NotebookRecord, TeamRecord } from '../../src/model/record.ts';
import { unlimited } from '../../src/model/team-quota.ts';

/** The instant at which fixtures were made: a Monday morning. */
export const aMoment = '2026-11-23T09:00:00.000Z';

/** The operator’s settings that the names of new teams depend on. */
export const aNaming: Naming = {
  hubUrlTemplate: 'https://{slug}.jupyter.knada.io',
  googleProject: 'knada-gcp',
};

/** The team with the names that it gets when it is created. */
export const named = <T extends TeamIdentity>(team: T, naming: Naming = aNaming): T & NamedTeam => ({
  ...team,
  names: deriveNames(team, naming),
});

/**
 * A team as it stands right after it was created: one member, no notebook yet, due at once. A slug alone gives
 * a fitting id.
 */
export const aRecord = (overrides: Partial<TeamRecord> = {}): TeamRecord => {
  const slug = overrides.slug ?? 'team-a';
  const id = overrides.id ?? `${slug}-3f9c`;
  return {
    ...named({ slug, id }),
    createdAt: aMoment,
    updatedAt: aMoment,
    members: [{ email: 'kari.nordmann@nav.no', username: 'kari.nordmann@nav.no', role: 'owner' }],
    ghcrRepositories: [],
    garTeam: null,
    quota: unlimited,
    revision: 1,
    notebookRevision: 0,
    generation: 1,
    notebook: null,
    deletion: null,
    release: null,
    status: { phase: 'Pending', conditions: [], appliedGeneration: 0, appliedRevision: 0, wasReady: false },
    statusVersion: 0,
    reconcile: { dueAt: aMoment, failures: 0 },
    culling: { dueAt: null, servers: {} },
    egressHosts: [],
    ...overrides,
  };
};

/** A notebook’s configuration with every answer given. */
export const aSpec = (overrides: Partial<NotebookSpec> = {}): NotebookSpec => ({
  resources: { cpu: { guarantee: 0.2, limit: 0.5 }, memory: { guarantee: '1Gi', limit: '2Gi' } },
  image: null,
  standardEnvironments: true,
  culling: { timeoutSeconds: 3600, maxAgeSeconds: 604_800, keepBusyKernels: false },
  allowlist: { enabled: false, hosts: [] },
  storage: { home: '10Gi' },
  pip: { userInstallByDefault: true },
  ...overrides,
});

/** A notebook that was ordered once and never changed. */
export const aNotebook = (overrides: Partial<NotebookRecord> = {}): NotebookRecord => ({
  spec: aSpec(),
  image: null,
  imageGeneration: 0,
  createdAt: aMoment,
  updatedAt: aMoment,
  updatedBy: 'kari.nordmann@nav.no',
  deletion: null,
  retry: null,
  ...overrides,
});

/** A team with a notebook ordered, nothing applied yet. */
export const anOrderedRecord = (overrides: Partial<TeamRecord> = {}): TeamRecord =>
  aRecord({
    revision: 1,
    notebookRevision: 1,
    generation: 2,
    notebook: aNotebook(),
    release: { platformHash: 'platform-1', spec: { interval: '5m' } },
    ...overrides,
  });

/** A history event; by default Kari created the team. */
export const anEvent = (overrides: Partial<HistoryEvent> = {}): HistoryEvent => ({
  at: aMoment,
  by: 'kari.nordmann@nav.no',
  action: 'team_created',
  revision: null,
  changes: [],
  ...overrides,
});
