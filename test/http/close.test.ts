import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';

const start = async () => {
  const child = spawn(process.execPath, [fileURLToPath(new URL('close.fixture.ts', import.meta.url))], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const line = async () => String((await lines.next()).value);
  return { child, line, url: await line() };
};

describe('graceful shutdown', () => {
  it('finishes its requests, then closes its store, then exits without an error', {
    timeout: 20_000,
  }, async () => {
    const { child, line, url } = await start();
    const exit = once(child, 'exit');
    const slow = fetch(`${url}/slow`);
    assert.equal(await line(), 'working');
    child.kill('SIGTERM');
    assert.deepEqual(await (await slow).json(), { done: true });
    assert.equal(await line(), 'store closed');
    assert.deepEqual(await exit, [0, null]);
  });

  it('does not wait for a connection that has sent nothing', { timeout: 20_000 }, async () => {
    const { child, line, url } = await start();
    const exit = once(child, 'exit');
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname).resume();
    await once(socket, 'connect');
    // The server has accepted it once it answers a request that was sent later.
    await (await fetch(`${url}/nowhere`)).text();
    child.kill('SIGTERM');
    assert.equal(await line(), 'store closed');
    assert.deepEqual(await exit, [0, null]);
    socket.destroy();
  });

  it('an uncaught error closes the app and exits with 1', { timeout: 20_000 }, async () => {
    const { child, line, url } = await start();
    const exit = once(child, 'exit');
    await fetch(`${url}/throw`).catch(() => {});
    assert.equal(await line(), 'store closed');
    assert.deepEqual(await exit, [1, null]);
  });
});
