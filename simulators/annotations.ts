/** On a HelmRelease: the named actions fail while it is set; `install`, `upgrade`, or both with a comma. */
export const failAnnotation = 'simulators.test/fail';

/** On a pod: it never becomes ready, and its containers crash. */
export const brokenAnnotation = 'simulators.test/broken';
