import assert from 'node:assert/strict';
import { it } from 'node:test';
import { aMoment } from '../../support/records.ts';
import { aRequest } from '../../support/requests.ts';
import type { Opened } from '../store.ts';

const answer = {
  status: 201,
  headers: { location: '/v1/teams/team-a' },
  body: { members: [{ email: 'kari@nav.no' }], nested: [[1], []], none: null },
};

/** Requests with an Idempotency-Key. */
export const requestContract = (opened: Opened): void => {
  it('keeps a request with its answer, as it was written', async (t) => {
    const { here, there } = await opened(t);
    assert.deepEqual(await here.changeRequest('request-1', aMoment, () => aRequest()), aRequest());
    const answered = aRequest({ answer });
    await there.changeRequest('request-1', aMoment, (current) => {
      assert.deepEqual(current, aRequest());
      return answered;
    });
    assert.deepEqual(await here.changeRequest('request-1', aMoment, () => undefined), answered);
    assert.equal(await here.changeRequest('request-2', aMoment, () => undefined), undefined);
  });

  it('lets one of many concurrent attempts have a request', async (t) => {
    const { all, here } = await opened(t);
    const held = await Promise.all(
      Array.from({ length: 16 }, (_, n) =>
        (all[n % all.length] ?? here).changeRequest('request-1', aMoment, (current) =>
          current === undefined ? aRequest({ attempt: `attempt-${n}` }) : undefined,
        ),
      ),
    );
    assert.equal(new Set(held.map((one) => one?.attempt)).size, 1);
  });

  it('forgets a request that is removed, and one that has expired', async (t) => {
    const { here, there } = await opened(t);
    const read = (id: string, now: string) => there.changeRequest(id, now, () => undefined);
    await here.changeRequest('request-1', aMoment, () => aRequest());
    assert.equal(await there.changeRequest('request-1', aMoment, () => 'remove'), undefined);
    assert.equal(await read('request-1', aMoment), undefined);
    await here.changeRequest('request-2', aMoment, () => aRequest({ id: 'request-2', answer }));
    const { expiresAt } = aRequest();
    const justBefore = new Date(Date.parse(expiresAt) - 1).toISOString();
    assert.ok((await read('request-2', justBefore)) !== undefined);
    assert.equal(await read('request-2', expiresAt), undefined);
    const later = aRequest({ id: 'request-2', attempt: 'later', expiresAt: '2026-11-25T09:00:00.000Z' });
    assert.deepEqual(await here.changeRequest('request-2', expiresAt, (current) => current ?? later), later);
  });

  it('refuses a decision that gives a request another id', async (t) => {
    const { here } = await opened(t);
    await assert.rejects(
      here.changeRequest('request-1', aMoment, () => aRequest({ id: 'request-2' })),
      TypeError,
    );
  });
};
