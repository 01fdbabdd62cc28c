import { egress } from './egress.ts';
import { images } from './images.ts';
import { leaving } from './leaving.ts';
import { ordering } from './ordering.ts';
import { resilience } from './resilience.ts';
import { secrets } from './secrets.ts';
import { servers } from './servers.ts';
import type { Step } from './story.ts';

/** The whole story, in order. */
export const steps: readonly Step[] = [
  ...ordering,
  ...images,
  ...secrets,
  ...servers,
  ...egress,
  ...resilience,
  ...leaving,
];
