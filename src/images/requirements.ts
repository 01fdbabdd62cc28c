import { validRange } from '@renovatebot/pep440';
import type { FaultCode } from '../model/faults.ts';
import type { Fault } from '../model/problems.ts';

export type CheckedRequirements =
  | { readonly ok: true; readonly text: string; readonly names: readonly string[] }
  | { readonly ok: false; readonly errors: readonly Fault[] };

const MAX_LENGTH = 65_536;
const MAX_LINES = 1000;
const MAX_LINE_LENGTH = 2000;
const MAX_ERRORS = 100;

// biome-ignore lint/suspicious/noControlCharactersInRegex: these characters are refused
const controlCharacter = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufeff]/;
const comment = /(?:^|[ \t])#.*$/;
const name = /^[A-Z0-9](?:[A-Z0-9._-]*[A-Z0-9])?(?![A-Z0-9._-])/i;

// Starts after a character that is not a blank, so a long run of blanks is scanned once.
const hashOptions =
  /(?<=[^ \t])(?:[ \t]+--hash=(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}))+[ \t]*$/;

const vcs = /^(?:git|hg|svn|bzr)(?:\+|:)/i;
const path = /^(?:[./~\\]|[a-z]:[\\/])|\.(?:whl|zip|tar\.gz|tgz)$/i;

/**
 * Checks the text of a requirements file line by line against PEP 508 and returns it with LF line ends: comments,
 * blank lines, continued lines and `--hash` options are kept. `names` are the normalized package names (PEP 503).
 *
 * Refused with a reason: pip’s options, because they change where all packages come from; other requirement files and
 * paths, because the image is built from this one file; version control URLs, because they need git in the image and a
 * branch moves. `name @ https://…` without credentials is accepted: it is a plain download.
 */
export function checkRequirements(given: string): CheckedRequirements {
  if (given.length > MAX_LENGTH) {
    return { ok: false, errors: [fault('too_long', `At most ${MAX_LENGTH} characters.`)] };
  }
  const text = given.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n');
  const lines = text.split('\n');
  if (lines.length > MAX_LINES + 1) {
    return { ok: false, errors: [fault('too_long', `At most ${MAX_LINES} lines.`)] };
  }
  const errors: Fault[] = [];
  const names = new Set<string>();
  for (const { line, at } of logicalLines(lines)) {
    const read = readLine(line);
    if (read === undefined) continue;
    if ('name' in read) names.add(read.name.toLowerCase().replace(/[-_.]+/g, '-'));
    else if (errors.length < MAX_ERRORS) errors.push(fault(read.code, `Line ${at}: ${read.message}`));
  }
  if (errors.length > 0) return { ok: false, errors };
  const body = text.trimEnd();
  return { ok: true, text: body === '' ? '' : `${body}\n`, names: [...names] };
}

interface Refusal {
  readonly code: FaultCode;
  readonly message: string;
}

/** Lines with continuations joined, as pip does it: a comment ends what was continued. `at` counts from 1. */
function* logicalLines(lines: readonly string[]): Generator<{ line: string; at: number }> {
  let pending = '';
  let start = 1;
  for (const [index, line] of lines.entries()) {
    if (pending === '') start = index + 1;
    const isComment = /^\s*#/.test(line);
    if (line.endsWith('\\') && !isComment) {
      pending += line.slice(0, -1) || ' ';
      continue;
    }
    yield { line: isComment ? `${pending} ${line}` : pending + line, at: start };
    pending = '';
  }
  if (pending !== '') yield { line: pending, at: start };
}

/** The package of one line; undefined for a blank or a comment. */
function readLine(raw: string): { readonly name: string } | Refusal | undefined {
  if (raw.length > MAX_LINE_LENGTH) {
    return refusal('too_long', `a requirement has at most ${MAX_LINE_LENGTH} characters.`);
  }
  if (controlCharacter.test(raw)) {
    return refusal('control_character', 'the line contains a control character; remove it.');
  }
  const line = raw.replace(comment, '').trim();
  if (line === '') return undefined;
  if (line.startsWith('-')) return optionRefusal(line);
  const requirement = line.replace(hashOptions, '').trim();
  return requirementOf(requirement);
}

function requirementOf(text: string): { readonly name: string } | Refusal {
  const option = /(?:^|[ \t])(-{1,2}[a-z][a-z-]*)/i.exec(text.split(';')[0] ?? '');
  if (option?.[1] !== undefined) return optionRefusal(option[1]);
  if (vcs.test(text)) return vcsRefusal();
  if (/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) {
    return refusal('url_without_name', `put the package name before the URL: <name> @ ${shown(text)}.`);
  }
  if (path.test(text) && !text.includes('@')) {
    return refusal(
      'path_not_allowed',
      `${shown(text)} is a file. Add it to the image with COPY in the Dockerfile.`,
    );
  }
  const found = name.exec(text)?.[0];
  if (found === undefined) return refusal('invalid_requirement', `${shown(text)} has no package name.`);
  const afterName = extrasOf(text.slice(found.length).trimStart());
  if (afterName === undefined) {
    return refusal('invalid_extras', 'extras are names in brackets, as in package[extra1,extra2].');
  }
  const fault = afterName.startsWith('@')
    ? addressFault(afterName.slice(1).trim())
    : versionsAndMarkerFault(found, afterName);
  return fault ?? { name: found };
}

/** The text after the extras; undefined when the brackets are malformed. */
function extrasOf(text: string): string | undefined {
  if (!text.startsWith('[')) return text;
  const end = text.indexOf(']');
  if (end < 0) return undefined;
  const inner = text.slice(1, end).trim();
  const extras = inner === '' ? [] : inner.split(',').map((extra) => extra.trim());
  if (!extras.every((extra) => name.exec(extra)?.[0] === extra)) return undefined;
  return text.slice(end + 1).trimStart();
}

/** PEP 508: a URL ends at white space, and only a marker may follow. */
function addressFault(text: string): Refusal | undefined {
  const [address = '', ...rest] = text.split(/\s+/);
  const after = rest.join(' ');
  if (vcs.test(address)) return vcsRefusal();
  if (!URL.canParse(address)) return refusal('invalid_url', `${shown(address)} is not a URL.`);
  const url = new URL(address);
  if (url.protocol !== 'https:') {
    return refusal(
      'https_required',
      'a URL must start with https://, so the package cannot be replaced in transit.',
    );
  }
  if (url.username !== '' || url.password !== '') {
    return refusal(
      'credentials_not_allowed',
      'a URL must not contain credentials: anyone with the image could read them.',
    );
  }
  if (address.includes('$')) {
    return refusal('variable_not_allowed', 'variables are not expanded; write the full URL.');
  }
  if (after === '') return undefined;
  return after.startsWith(';')
    ? markerFault(after.slice(1))
    : refusal('invalid_url', 'only a marker may follow the URL, as " ; python_version < \'3.12\'".');
}

function versionsAndMarkerFault(found: string, text: string): Refusal | undefined {
  const semicolon = text.indexOf(';');
  const versions = (semicolon < 0 ? text : text.slice(0, semicolon)).trim();
  const bare = versions.startsWith('(') && versions.endsWith(')') ? versions.slice(1, -1).trim() : versions;
  if (bare !== '' && !validRange(bare)) {
    return /^=[^=]/.test(bare)
      ? refusal('invalid_version', `an exact version needs two equal signs: ${found}=${shown(bare)}.`)
      : refusal(
          'invalid_version',
          `${shown(bare)} is not a version specifier; use for example ${found}>=2.1,<3 (PEP 440).`,
        );
  }
  return semicolon < 0 ? undefined : markerFault(text.slice(semicolon + 1));
}

const markerToken =
  /\s*(?:(?<string>'[^']*'|"[^"]*")|(?<operator>===|~=|==|!=|<=|>=|<|>|not\s+in\b|in\b)|(?<joint>and\b|or\b)|(?<paren>[()])|(?<variable>[a-z_.]+))/y;

const markerVariables = new Set([
  'python_version',
  'python_full_version',
  'os_name',
  'os.name',
  'sys_platform',
  'sys.platform',
  'platform_release',
  'platform_system',
  'platform_version',
  'platform.version',
  'platform_machine',
  'platform.machine',
  'platform_python_implementation',
  'platform.python_implementation',
  'python_implementation',
  'implementation_name',
  'implementation_version',
  'extra',
]);

/**
 * PEP 508’s markers: comparisons joined by "and" and "or", with parentheses. The state consists of the expected token
 * and the number of open parentheses.
 */
function markerFault(text: string): Refusal | undefined {
  const fault = refusal(
    'invalid_marker',
    `${shown(text.trim())} is not a marker; use for example python_version < '3.12' (PEP 508).`,
  );
  const end = text.trimEnd().length;
  let expected: 'left' | 'operator' | 'right' | 'joint' = 'left';
  let open = 0;
  markerToken.lastIndex = 0;
  for (let at = 0; at < end; at = markerToken.lastIndex) {
    markerToken.lastIndex = at;
    const token = markerToken.exec(text)?.groups;
    if (!token) return fault;
    const isValue = token.string !== undefined || markerVariables.has(token.variable ?? '');
    if (expected === 'left' && token.paren === '(') open += 1;
    else if (expected === 'left' && isValue) expected = 'operator';
    else if (expected === 'operator' && token.operator !== undefined) expected = 'right';
    else if (expected === 'right' && isValue) expected = 'joint';
    else if (expected === 'joint' && token.paren === ')' && open > 0) open -= 1;
    else if (expected === 'joint' && token.joint !== undefined) expected = 'left';
    else return fault;
  }
  return expected === 'joint' && open === 0 ? undefined : fault;
}

const indexOptions = new Set(['-i', '--index-url', '--extra-index-url', '-f', '--find-links', '--no-index']);
const fileOptions = new Set(['-r', '--requirement', '-c', '--constraint']);
const editableOptions = new Set(['-e', '--editable']);

function optionRefusal(line: string): Refusal {
  const option = /^(?:--[a-z-]*|-.?)/i.exec(line)?.[0] ?? '-';
  if (indexOptions.has(option) || option === '--trusted-host') {
    return refusal(
      'option_not_allowed',
      `${option} is not allowed: it changes where every package comes from, which enables dependency confusion. Set the index in the Dockerfile, where it is reviewed.`,
    );
  }
  if (fileOptions.has(option)) {
    return refusal(
      'option_not_allowed',
      `${option} is not allowed: the image is built from this file only. Copy the lines into it.`,
    );
  }
  if (editableOptions.has(option)) {
    return refusal(
      'option_not_allowed',
      `${option} is not allowed: an editable package needs a source checkout, and the image has none. Specify a release.`,
    );
  }
  if (option === '--hash') {
    return refusal(
      'invalid_hash',
      'hashes follow the requirement as --hash=sha256:<64 hexadecimal digits> (or sha384, sha512).',
    );
  }
  return refusal(
    'option_not_allowed',
    `${option} is an option of pip, not a requirement. Set it on pip install in the Dockerfile.`,
  );
}

function vcsRefusal(): Refusal {
  return refusal(
    'vcs_not_allowed',
    'a version control URL needs git in the image, and a branch moves. Use the archive of a commit: <name> @ https://github.com/<owner>/<repository>/archive/<commit>.zip.',
  );
}

function refusal(code: FaultCode, message: string): Refusal {
  return { code, message };
}

function fault(code: FaultCode, message: string): Fault {
  return { pointer: '/requirements', code, message };
}

function shown(text: string): string {
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}
