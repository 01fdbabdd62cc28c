import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export interface ChartServer {
  /** The address of a repository; each name is one, with the same charts. */
  urlOf(name: string): string;
  /** Whether the repository of that name answers; 503 else. */
  answers(name: string, yes: boolean): void;
  close(): Promise<void>;
}

/** Packages the chart in ./chart in these versions, and serves them as Helm repositories. */
export const serveCharts = async (helm: string, versions: readonly string[]): Promise<ChartServer> => {
  const folder = mkdtempSync(join(tmpdir(), 'charts-'));
  const chart = fileURLToPath(new URL('chart', import.meta.url));
  for (const version of versions) {
    execFileSync(helm, ['package', chart, '--version', version, '--destination', folder], { stdio: 'pipe' });
  }
  execFileSync(helm, ['repo', 'index', folder], { stdio: 'pipe' });
  const away = new Set<string>();
  const server = createServer((request, response) => {
    const [, name = '', file = ''] = /^\/([a-z0-9-]+)\/([\w.-]+)$/.exec(request.url ?? '') ?? [];
    if (file === '') return void response.writeHead(404).end();
    if (away.has(name)) return void response.writeHead(503).end();
    try {
      response.end(readFileSync(join(folder, file)));
    } catch {
      response.writeHead(404).end();
    }
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    urlOf: (name) => `http://127.0.0.1:${port}/${name}/`,
    answers: (name, yes) => void (yes ? away.delete(name) : away.add(name)),
    async close() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
      rmSync(folder, { recursive: true });
    },
  };
};
