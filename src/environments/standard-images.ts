import type { StandardImage } from '../model/environment.ts';

const history = 'https://github.com/navikt/knada-images';

/**
 * The default of `STANDARD_IMAGES`: the image that NADA built until 2025-12-16, when it was discontinued. The drivers
 * are those of its Dockerfile over time, not those of the user guide, which still lists TDV.
 */
export const knadaImages: readonly StandardImage[] = [
  {
    repository: 'ghcr.io/navikt/knada-images/jupyter',
    drivers: [
      {
        name: 'Oracle',
        included: true,
        version: '21.11',
        detail: 'Oracle Instant Client, x86_64 only.',
        source: `${history}, jupyter/Dockerfile since 2023-09-21`,
        from: '2023-09-21',
      },
      {
        name: 'Oracle',
        included: true,
        version: '19.15',
        detail: 'Oracle Instant Client, x86_64 only.',
        source: `${history}, jupyter/Dockerfile before 2023-09-21`,
        until: '2023-09-21',
      },
      {
        name: 'Postgres',
        included: true,
        detail: 'The client library libpq (libpq-dev); install a Python package such as psycopg.',
        source: `${history}, jupyter/Dockerfile`,
      },
      {
        name: 'TDV',
        included: false,
        detail: 'Removed on 2023-11-15; a team that needs it can add it to its own image.',
        source: `${history}/commit/30d05d4`,
        from: '2023-11-15',
      },
      {
        name: 'TDV',
        included: true,
        source: `${history}, jupyter/Dockerfile before commit 30d05d4`,
        until: '2023-11-15',
      },
    ],
  },
];
