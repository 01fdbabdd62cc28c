import { keysOf } from '../lib/keys.ts';
import type { Code } from '../model/code.ts';
import type { CodeText } from '../model/code-text.ts';
import { conditionReasons } from '../model/condition-reasons.ts';
import { entryCodes } from '../model/entry-codes.ts';
import { faults } from '../model/faults.ts';
import { imageWarnings } from '../model/image-warnings.ts';
import { norwegian } from '../model/norwegian.ts';
import { operationReasons } from '../model/operation-reasons.ts';
import { catalogue } from '../model/problems.ts';
import { teamWarnings } from '../model/team-warnings.ts';
import { statusOf, typeOf } from './problem.ts';

type Texts<C extends string> = Readonly<Record<C, CodeText>>;

const familyOf = <C extends string>(
  kind: Code['kind'],
  en: Texts<C>,
  nb: Texts<C>,
  statuses: Partial<Readonly<Record<C, number>>> = {},
): readonly Code[] =>
  keysOf(en).map((code) => ({
    code,
    kind,
    status: statuses[code] ?? null,
    title: { en: en[code][0], nb: nb[code][0] },
    help: { en: en[code][1], nb: nb[code][1] },
  }));

const byStatus = ({ status: a }: Code, { status: b }: Code): number => (a ?? 0) - (b ?? 0);

/** Every code and reason that a client can receive, by kind; problems by their status. */
export const codes: readonly Code[] = [
  ...familyOf('problem', catalogue, norwegian.problem, statusOf).toSorted(byStatus),
  ...familyOf('fault', faults, norwegian.fault),
  ...familyOf('allowlist', entryCodes, norwegian.allowlist),
  ...familyOf('image_warning', imageWarnings, norwegian.image_warning),
  ...familyOf('team_warning', teamWarnings, norwegian.team_warning),
  ...familyOf('condition_reason', conditionReasons, norwegian.condition_reason),
  ...familyOf('operation_reason', operationReasons, norwegian.operation_reason),
];

const sections = {
  problem: ['Problems', '`code` of a problem.'],
  fault: [
    'Faults',
    '`code` of an item of `errors`. For an allowlist entry it is one of the codes of the next section.',
  ],
  allowlist: [
    'Allowlist entries',
    '`code` of an item of `errors` for an allowlist entry, and of the errors and warnings of validateAllowlist.',
  ],
  image_warning: ['Image warnings', '`code` of a warning about an image that can be used.'],
  team_warning: ['Team warnings', '`code` of a warning in the answer to a change of a team.'],
  condition_reason: ['Reasons of conditions', '`reason` of a condition of a notebook.'],
  operation_reason: [
    'Reasons of operations',
    'Why an operation on a server or a hub failed, or what keeps a server from starting.',
  ],
} as const satisfies Record<Code['kind'], readonly [title: string, about: string]>;

const table = (kind: Code['kind']): readonly string[] => {
  const rows = codes.filter((one) => one.kind === kind);
  const isProblem = kind === 'problem';
  const [title, about] = sections[kind];
  return [
    `## ${title}`,
    '',
    about,
    '',
    isProblem ? '| status | code | title | meaning |' : '| code | title | meaning |',
    isProblem ? '|---|---|---|---|' : '|---|---|---|',
    ...rows.map(
      ({ status, code, title: { en }, help }) =>
        `| ${isProblem ? `${status} | ` : ''}\`${code}\` | ${en} | ${help.en} |`,
    ),
    '',
  ];
};

/** The content of docs/errors.md. */
export const errorReference = (): string =>
  [
    '# Errors and reasons',
    '',
    '<!-- Generated from the catalogues in src/model by `npm run openapi`. -->',
    '',
    'Every error is an `application/problem+json` document (RFC 9457). `code` is stable: write programs against it, not',
    `against the sentences. \`type\` is \`${typeOf('internal').replace(/internal$/, '<code>')}\`, \`instance\` is the request id, also in \`x-request-id\`.`,
    '`errors` names every fault with a JSON pointer. An answer of 429 or 503 says in `Retry-After` when to try again.',
    '',
    '`GET /v1/codes` lists every code and reason with a title and a help text in English and Norwegian.',
    '',
    ...keysOf(sections).flatMap(table),
  ].join('\n');
