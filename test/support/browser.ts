import { accessSync, constants } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isAbsent, tookPart } from '@knada/simulators/real/real-parts.ts';
import { type Browser, chromium, type Page } from 'playwright-core';

const programs = [process.env.CHROMIUM ?? '', '/usr/bin/chromium', '/usr/bin/chromium-browser'];
const axeFile = fileURLToPath(import.meta.resolve('axe-core/axe.min.js'));

const isProgram = (path: string): boolean => {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
};

const program = programs.find(isProgram);

/** Why there is no browser here, for `skip`; false when there is one. In CI that is an error. */
export const withoutBrowser = (): string | false =>
  program === undefined
    ? isAbsent('Chromium', 'apt-get install chromium installs it; CHROMIUM names another one')
    : false;

/** The system’s Chromium, without a window. */
export const startBrowser = async (): Promise<Browser> => {
  if (program === undefined) throw new Error('Chromium is not installed.');
  // Chromium’s sandbox refuses to run as root, and its shared memory is small in containers.
  const browser = await chromium.launch({
    executablePath: program,
    args: ['--no-sandbox', '--disable-dev-shm-usage'],
  });
  tookPart('Chromium', browser.version());
  return browser;
};

interface AxeRun {
  readonly violations: readonly {
    readonly id: string;
    readonly help: string;
    readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
  }[];
}

/** What axe-core has against the page as it is now, in light and in dark colours. */
export const violationsIn = async (page: Page): Promise<readonly string[]> => {
  if (!(await page.evaluate<boolean>('"axe" in globalThis'))) await page.addScriptTag({ path: axeFile });
  const found: string[] = [];
  for (const [colorScheme, options] of [
    ['light', ''],
    ['dark', ", { runOnly: ['color-contrast'] }"],
  ] as const) {
    await page.emulateMedia({ colorScheme });
    const { violations } = await page.evaluate<AxeRun>(`axe.run(document${options})`);
    for (const { id, help, nodes } of violations)
      found.push(
        `${colorScheme}: ${id}: ${help}\n${nodes.map(({ html, failureSummary }) => `${html} ${failureSummary}`).join('\n')}`,
      );
  }
  await page.emulateMedia({ colorScheme: 'light' });
  return found;
};
