/** On a HelmRelease: fails the named actions for as long as it is there; `install`, `upgrade`, or both with a comma. */
export const failAnnotation = 'sandbox.knada.io/fail';

/** On a pod: it never becomes ready. */
export const brokenAnnotation = 'sandbox.knada.io/broken';
