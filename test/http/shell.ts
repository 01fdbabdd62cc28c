import { registerGuards } from '../../src/http/guards.ts';
import { createServer } from '../../src/http/server.ts';

/** A server with the guards and nothing else; each test declares the routes that it is about. */
export const shell = async (
  options: Parameters<typeof createServer>[0] = {},
  guards: Parameters<typeof registerGuards>[1] = {},
) => {
  const app = createServer(options);
  await registerGuards(app, guards);
  return app;
};

/** A problem body without what differs from request to request. */
export const timeless = (body: string): unknown => {
  const { instance, ...rest } = JSON.parse(body);
  if (!/^urn:uuid:[0-9a-f-]{36}$/.test(instance)) throw new Error(`no request id in ${body}`);
  return rest;
};
