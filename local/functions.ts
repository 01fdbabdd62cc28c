// Serves the functions of functions/index.ts from one process, each below its name. In production each has its own host.
import { createServer, type Server } from 'node:http';
import { getFunction, getTestServer } from '@google-cloud/functions-framework/testing';

const names = ['reconcile', 'cull', 'refresh', 'admission'] as const;

await import('../functions/index.ts');

const hosted = new Map<string, Server>();
for (const name of names) {
  // Wraps the function in the framework’s own Express app; the server never listens.
  if (getFunction(name) !== undefined) hosted.set(name, getTestServer(name));
}

const host = createServer((request, response) => {
  const { pathname, search } = new URL(request.url ?? '/', 'http://localhost');
  const [, name = '', ...rest] = pathname.split('/');
  const target = hosted.get(name);
  if (target === undefined) {
    response.writeHead(pathname === '/' ? 200 : 404, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ functions: [...hosted.keys()] }));
    return;
  }
  request.url = `/${rest.join('/')}${search}`;
  target.emit('request', request, response);
});

process.once('SIGTERM', () => {
  host.close(() => process.exit(0));
  host.closeIdleConnections();
});
// The terminal sends Ctrl-C to the whole process group; the sandbox stops its parts itself.
process.on('SIGINT', () => {});

host.listen(Number(process.env.PORT), '127.0.0.1');
