// Says what time it is once its clock has been moved by more than an hour.
const { now: kept } = Date;
const startedAt = performance.timeOrigin;
const timer = setInterval(() => {
  if (kept() - startedAt < 3_650_000) return;
  clearInterval(timer);
  const [made, given] = [new Date(), new Date(0)];
  console.log(`${kept()} ${made.getTime()} ${given.getTime()}`);
}, 10);
