import { isClockMessage, moveClock } from './clock.ts';

// Loaded into every process of the sandbox with --import: when the one that started it is gone, even killed, so is it.
// What it says meanwhile is where the clock stands.
const { channel } = process;
if (channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  process.on('message', (message) => {
    if (!isClockMessage(message)) return;
    moveClock(message.moveClockMs);
    process.send?.({ clockMoved: true });
  });
  // Listening must not keep the process alive.
  channel.unref();
}
