/** Kubernetes writes times in whole seconds. */
export const seconds = (date: Date): string => date.toISOString().replace(/\.\d{3}Z$/, 'Z');
