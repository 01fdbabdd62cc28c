import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { portOf, urlOf } from './ports.ts';

const folder = fileURLToPath(new URL('../examples/web', import.meta.url));
const types: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
};
const usualPort = 8080;

/**
 * Serves the page of examples/web, which names the addresses of a sandbox on the usual ports; they are replaced by those
 * of this one.
 */
export const startPage = async (port: number): Promise<{ close(): Promise<void> }> => {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://localhost');
    const name = pathname === '/' ? 'index.html' : pathname.slice(1);
    const type = /^[\w-]+\.\w+$/.test(name) ? types[extname(name)] : undefined;
    const answer = async (): Promise<void> => {
      if (type === undefined) throw new Error('There is no such file.');
      const text = await readFile(join(folder, name), 'utf8');
      response.writeHead(200, { 'content-type': type, 'cache-control': 'no-cache' });
      response.end(
        text
          .replaceAll(urlOf('api', usualPort), urlOf('api', port))
          .replaceAll(urlOf('issuer', usualPort), urlOf('issuer', port)),
      );
    };
    answer().catch(() => response.writeHead(404).end());
  });
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  server.listen(portOf('page', port), '127.0.0.1', () => resolve());
  await promise;
  return {
    close: async () => {
      const closed = Promise.withResolvers<void>();
      server.close(() => closed.resolve());
      server.closeAllConnections();
      await closed.promise;
    },
  };
};
