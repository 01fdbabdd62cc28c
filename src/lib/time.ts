/** An instant as it is sent and stored: ISO 8601, UTC, milliseconds. Throws RangeError for what is no instant. */
export const isoOf = (ms: number): string => new Date(ms).toISOString();

/** An instant of another system in our form; undefined for what is no instant. */
export const isoFrom = (text: string | null | undefined): string | undefined => {
  const ms = Date.parse(text ?? '');
  return Number.isNaN(ms) ? undefined : isoOf(ms);
};
