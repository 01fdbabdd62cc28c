import { clockVariable, isClockMessage, moveClock } from './clock.ts';

// Loaded with --import into every process of the sandbox: the process ends when its parent is gone, even when that was
// killed. Meanwhile the channel carries changes of the clock.
moveClock(Number(process.env[clockVariable] ?? 0));

const { channel } = process;
if (channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.on('message', (message) => {
    if (!isClockMessage(message)) return;
    moveClock(message.moveClockMs);
    process.send?.({ clockMoved: true });
  });
  // The channel must not keep the process alive.
  channel.unref();
}
