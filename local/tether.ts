// Loaded into every process of the sandbox with --import: when the one that started it is gone, even killed, so is it.
const { channel } = process;
if (channel) {
  process.once('disconnect', () => process.kill(process.pid, 'SIGTERM'));
  // Listening must not keep the process alive.
  channel.unref();
}
