import { activityContract } from './hub/activity.ts';
import { availabilityContract } from './hub/availability.ts';
import type { HubUnderTest } from './hub/hub-under-test.ts';
import { serversContract } from './hub/servers.ts';
import { usersContract } from './hub/users.ts';

/** What the adapter must find at every JupyterHub that we support. */
export const hubContract = (open: () => Promise<HubUnderTest>): void => {
  usersContract(open);
  serversContract(open);
  activityContract(open);
  availabilityContract(open);
};
