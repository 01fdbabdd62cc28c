// A server of its own for close.test.ts: prints where it listens and what it does while it closes.
import { closeGracefully } from '../../src/http/guards.ts';
import { createServer } from '../../src/http/server.ts';

const app = createServer();
app.get('/slow', async () => {
  console.log('working');
  await new Promise((resolve) => process.once('SIGTERM', () => setTimeout(resolve, 100)));
  return { done: true };
});
app.get('/throw', async () => {
  setImmediate(() => {
    throw new Error('nobody caught this');
  });
  return {};
});
closeGracefully(app, async () => console.log('store closed'));
console.log(await app.listen({ port: 0, host: '127.0.0.1' }));
