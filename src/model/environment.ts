import Type, { type Static } from 'typebox';
import { answer, closed, Instant, known, nullable, oneOf, ref } from '../lib/schema.ts';

/** The status of a version in the release cycle of peps.python.org. */
const cycleStatuses = ['feature', 'prerelease', 'bugfix', 'security', 'end-of-life'] as const;
export type CycleStatus = (typeof cycleStatuses)[number];
/** The same as this API writes it. */
export const pythonStatuses = ['feature', 'prerelease', 'bugfix', 'security', 'end_of_life'] as const;
export type PythonStatus = (typeof pythonStatuses)[number];
const MonthOrDay = Type.String({ pattern: '^\\d{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12]\\d|3[01]))?$' });

/**
 * The part that is used of https://peps.python.org/api/release-cycle.json, by version. `end_of_life` is a month until
 * the version is at its end of life, and a day afterwards. Other fields are ignored.
 */
export const ReleaseCycle = Type.Record(
  Type.String({ pattern: '^[1-9]\\d?\\.\\d{1,2}$' }),
  Type.Object({
    status: oneOf(cycleStatuses),
    first_release: MonthOrDay,
    end_of_life: MonthOrDay,
    pep: Type.Optional(Type.Integer()),
  }),
  { additionalProperties: false, minProperties: 1 },
);
export type ReleaseCycle = Static<typeof ReleaseCycle>;
const Python = Type.String({ pattern: '^[1-9]\\d?\\.\\d{1,2}$', examples: ['3.11'] });
const Day = Type.String({ format: 'date', examples: ['2027-10-31'] });

/** A database driver in one image. Only drivers that were checked are listed. */
export const Driver = answer(
  {
    name: Type.String({ minLength: 1, examples: ['Oracle'] }),
    included: Type.Boolean({
      description: 'false when the image does not contain the driver, although one might expect it.',
    }),
    version: Type.Optional(Type.String()),
    detail: Type.Optional(Type.String({ description: 'What exactly is included, or why it is not.' })),
    source: Type.String({ minLength: 1, description: 'The source of this information.' }),
  },
  { $id: 'Driver', description: 'A database driver of an image, with the source of this information.' },
);
export type Driver = Static<typeof Driver>;

/** A driver in the configuration. It applies to images built on or after `from` and before `until` (days). */
export const DriverFact = closed({
  ...Driver.properties,
  from: Type.Optional(Day),
  until: Type.Optional(Day),
});
export type DriverFact = Static<typeof DriverFact>;

/**
 * A source of standard images (`STANDARD_IMAGES`). A repository whose name ends in `-python-3.x` has tags without
 * a version.
 */
export const StandardImage = closed({
  repository: Type.String({ minLength: 1, examples: ['ghcr.io/navikt/knada-images/jupyter'] }),
  drivers: Type.Array(DriverFact),
});
export type StandardImage = Static<typeof StandardImage>;

export const Environment = answer(
  {
    python: Python,
    image: Type.String({
      description: 'The image with its tag, as in a Dockerfile.',
      examples: ['ghcr.io/navikt/knada-images/jupyter:20251124-120000-3.11'],
    }),
    tag: Type.String(),
    digest: Type.String({ description: 'The digest that runs. A tag can be moved; a digest cannot.' }),
    drivers: Type.Array(ref(Driver)),
    endOfLife: Type.String({
      format: 'date',
      description: 'The last day on which this Python version gets fixes.',
    }),
    pythonStatus: known(pythonStatuses),
    jupyterMaintained: nullable(
      Type.Boolean({
        description: 'Whether Jupyter still builds its image for this Python version; null when not known.',
      }),
    ),
    builtAt: Instant,
    stale: Type.Boolean({
      description: 'The image has not been built for a long time, so its packages are outdated.',
    }),
    default: Type.Boolean({ description: 'The environment to preselect. Exactly one item is the default.' }),
  },
  { $id: 'PythonEnvironment', description: 'The newest standard image of one Python version.' },
);
export type Environment = Static<typeof Environment>;

export const gapReasons = [
  'end_of_life',
  'not_released',
  'no_jupyter_tag',
  'no_standard_image',
  'not_known',
  'unknown_python',
] as const;

export const EnvironmentGap = answer(
  {
    python: Python,
    reason: known(gapReasons),
    message: Type.String({ description: 'The reason as a sentence.' }),
  },
  { $id: 'EnvironmentGap', description: 'A Python version that is not offered, with the reason.' },
);
export type EnvironmentGap = Static<typeof EnvironmentGap>;
