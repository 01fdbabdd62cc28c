import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  addressesOf,
  graceMs,
  hostState,
  isDue,
  isFresh,
  leased,
  looked,
  wanted,
} from '../../src/egress/freshness.ts';
import type { HostRecord } from '../../src/model/host.ts';
import type { DnsAnswer } from '../../src/ports/dns.ts';
import { aMoment } from '../support/records.ts';

const name = 'api.example.com';
const start = Date.parse(aMoment);
const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

const found = (addresses: readonly string[], ttlSeconds = 60): DnsAnswer => ({
  answer: 'addresses',
  addresses: addresses.map((address) => ({ address, ttlSeconds })),
});
const absent: DnsAnswer = { answer: 'absent' };
const failed: DnsAnswer = { answer: 'failed', message: 'SERVFAIL' };

const defined = <T>(value: T | undefined): T => {
  assert.ok(value !== undefined);
  return value;
};
/** A host that a team with a running notebook has just listed. */
const live = (now = start): HostRecord => defined(wanted(undefined, name, true, now));
const look = (record: HostRecord, answers: readonly DnsAnswer[], now: number, jitter = 0): HostRecord =>
  looked(record, name, answers, now, jitter);
const waitOf = ({ dueAt }: HostRecord, now: number): number | null =>
  dueAt === null ? null : (Date.parse(dueAt) - now) / second;

/** Looks as the pass does: whenever one is due, until `until`, with a team that goes on saying that it lives. */
const lookUntil = (
  record: HostRecord,
  until: number,
  answer: (now: number) => readonly DnsAnswer[],
  each: (record: HostRecord, now: number) => void = () => {},
): HostRecord => {
  let current = record;
  for (let now = Date.parse(current.dueAt ?? ''); now <= until; now = Date.parse(current.dueAt ?? '')) {
    current = wanted(current, name, true, now) ?? current;
    current = look(leased(current, now), answer(now), now);
    each(current, now);
  }
  return current;
};

describe('the addresses of a host', () => {
  it('are those of every answer of the last hour, and each expires an hour after it was last seen', () => {
    const first = look(live(), [found(['198.35.26.1', '198.35.26.2'])], start);
    const gone: number[] = [];
    let before = first;
    lookUntil(
      first,
      start + 2 * hour,
      () => [found(['198.35.26.3'])],
      (record, now) => {
        const size = addressesOf(record).length;
        if (size < addressesOf(before).length) gone.push(now - start);
        assert.deepEqual(
          addressesOf(record),
          now - start <= graceMs ? ['198.35.26.1', '198.35.26.2', '198.35.26.3'] : ['198.35.26.3'],
        );
        before = record;
      },
    );
    assert.equal(gone.length, 1);
    assert.ok((gone[0] ?? 0) <= graceMs + minute);
  });

  it('last for their TTL if that is longer, and for a day at most', () => {
    const fallen = (ttlSeconds: number): number => {
      const first = look(live(), [found(['198.35.26.1'], ttlSeconds)], start);
      let goneAt = Number.NaN;
      lookUntil(
        first,
        start + 30 * hour,
        () => [found(['198.35.26.2'], 86_400)],
        (record, now) => {
          if (Number.isNaN(goneAt) && !addressesOf(record).includes('198.35.26.1')) goneAt = now - start;
        },
      );
      return goneAt;
    };
    assert.ok(fallen(0) > hour && fallen(0) <= hour + 5 * minute);
    assert.ok(fallen(7200) > 2 * hour && fallen(7200) <= 2 * hour + 5 * minute);
    assert.ok(fallen(2 ** 31 - 1) > day && fallen(2 ** 31 - 1) <= day + 5 * minute);
  });

  it('outlast a day of SERVFAIL or timeouts, which is reported, and expire only then', () => {
    const first = look(live(), [found(['198.35.26.1'])], start);
    lookUntil(
      first,
      start + 25 * hour,
      () => [failed, failed],
      (record, now) => {
        assert.equal(record.lastError, 'SERVFAIL');
        assert.equal(addressesOf(record).length, now - start > day ? 0 : 1);
      },
    );
  });

  it('stay after a single NXDOMAIN, and expire normally once it is repeated', () => {
    const first = look(live(), [found(['198.35.26.1'])], start);
    const [once, again] = [start + 50 * minute, start + 61 * minute];
    const missed = look({ ...first, dueAt: iso(once) }, [absent, absent], once);
    assert.deepEqual(missed.absent, { since: iso(once), seen: 1 });
    assert.deepEqual(addressesOf(missed), ['198.35.26.1']);
    assert.equal(waitOf(missed, once), 60);
    const tooSoon = look(missed, [absent, absent], once + 59 * second);
    assert.equal(tooSoon.absent?.seen, 1, 'the same cached answer is no second one');
    const confirmed = look({ ...missed, dueAt: iso(again) }, [absent, absent], again);
    assert.equal(confirmed.absent?.seen, 2);
    assert.deepEqual(addressesOf(confirmed), ['198.35.26.1'], 'never at once');
    const running = wanted(confirmed, name, true, again) ?? confirmed;
    const aged = lookUntil(running, once + graceMs + 5 * minute, () => [absent, absent]);
    assert.deepEqual(addressesOf(aged), []);
    assert.equal(look(missed, [found(['198.35.26.1'])], again).absent, null);
  });

  it('do not expire when half of the answers are NXDOMAIN and half are failures', () => {
    const first = look(live(), [found(['198.35.26.1'])], start);
    const unsure = look(first, [absent, failed], start + minute);
    assert.equal(unsure.absent, null);
    assert.equal(unsure.failures, 1);
  });

  it('are the newest 128, and always the same ones of equal age', () => {
    const many = Array.from({ length: 300 }, (_, i) => `198.35.${i >> 8}.${i & 255}`);
    const first = look(live(), [found(many)], start);
    const chosen = addressesOf(first);
    assert.equal(chosen.length, 128);
    assert.deepEqual(hostState(first, start), { state: 'too_many_addresses' });
    const shuffled = look(first, [found(many.toReversed())], start + minute);
    assert.deepEqual(addressesOf(shuffled), chosen);
    const newer = look(shuffled, [found(['203.0.113.200'])], start + 2 * minute);
    assert.ok(addressesOf(newer).includes('203.0.113.200'));
    assert.equal(addressesOf(newer).length, 128);
    assert.ok(Object.keys(newer.addresses).length <= 256);
  });

  it('never expire within an hour of being seen, nor more than an hour after a later lookup', () => {
    const pool = ['198.35.26.1', '198.35.26.2', '198.35.26.3', '2620:0:862:ed1a::1'];
    const answer = fc.oneof(
      { weight: 4, arbitrary: fc.subarray(pool, { minLength: 1 }).map((some) => found(some)) },
      { weight: 1, arbitrary: fc.constantFrom(absent, failed) },
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(answer, answer), { minLength: 5, maxLength: 80 }), (steps) => {
        const lastSeen = new Map<string, number>();
        let script = 0;
        lookUntil(
          live(),
          start + 5 * hour,
          (now) => {
            const pair = steps[script++ % steps.length] ?? [failed, failed];
            for (const one of pair) {
              if (one.answer !== 'addresses') continue;
              for (const { address } of one.addresses) lastSeen.set(address, now);
            }
            return pair;
          },
          (record, now) => {
            const known = new Set(addressesOf(record));
            for (const [address, at] of lastSeen) {
              if (now - at <= graceMs) assert.ok(known.has(address), `${address} went early`);
              const isConfirmed = record.lastSuccessAt === iso(now);
              if (isConfirmed && now - at > graceMs) assert.ok(!known.has(address), `${address} stayed`);
            }
            for (const address of known) assert.ok(lastSeen.has(address), 'never answered');
          },
        );
      }),
      { numRuns: 60 },
    );
  });

  it('are the same for any order of the samples', () => {
    const sample = fc.oneof(
      fc.constantFrom(absent, failed, { answer: 'failed', message: 'a timeout' } as const),
      fc
        .array(
          fc.record({
            address: fc.constantFrom('198.35.26.1', '198.35.26.2', '198.35.26.3'),
            ttlSeconds: fc.nat(100_000),
          }),
          { minLength: 1, maxLength: 5 },
        )
        .map((addresses): DnsAnswer => ({ answer: 'addresses', addresses })),
    );
    const record = look(live(), [found(['198.35.26.1', '198.35.26.2'])], start);
    fc.assert(
      fc.property(sample, sample, fc.integer({ min: 0, max: 90 }), (one, other, minutes) => {
        const now = start + minutes * minute;
        assert.deepEqual(look(record, [one, other], now), look(record, [other, one], now));
      }),
    );
  });
});

describe('the addresses of a running notebook', () => {
  const known = () => look(live(), [found(['198.35.26.1', '198.35.26.2'])], start);

  it('survive three hours without a lookup: the first lookup adds before any address expires', () => {
    const now = start + 3 * hour;
    const back = look(leased(known(), now), [found(['198.35.26.3'])], now);
    assert.equal(addressesOf(back).length, 3);
    assert.notEqual(back.dueAt, null, 'nobody had the time to say that it is wanted');
    const later = lookUntil(back, now + graceMs + 5 * minute, () => [found(['198.35.26.3'])]);
    assert.deepEqual(addressesOf(later), ['198.35.26.3'], 'but not for ever');
  });

  it('survive a clock that jumps forward, with or without DNS, and expire normally afterwards', () => {
    for (const answer of [found(['198.35.26.3']), failed, absent]) {
      for (const jump of [3 * hour, 40 * day]) {
        const now = start + jump;
        const after = lookUntil(leased(known(), now), now + 30 * minute, () => [answer]);
        for (const address of ['198.35.26.1', '198.35.26.2']) {
          assert.ok(addressesOf(after).includes(address), `${jump / hour} h, ${answer.answer}`);
        }
      }
      const now = start + 40 * day;
      const aged = lookUntil(leased(known(), now), now + 25 * hour, () => [answer]);
      assert.deepEqual(addressesOf(aged), answer.answer === 'addresses' ? ['198.35.26.3'] : []);
    }
  });

  it('survive a clock that jumps back, and are kept no longer because of it', () => {
    const now = start - 3 * day;
    const healed = defined(wanted(known(), name, true, now));
    assert.ok(isDue(healed, now), 'a look that a wrong clock planned is due now');
    assert.partialDeepStrictEqual(healed, { wantedAt: iso(now), liveAt: iso(now) });
    const back = look(leased(healed, now), [found(['198.35.26.3'])], now);
    assert.equal(addressesOf(back).length, 3);
    const later = lookUntil(back, now + graceMs + 5 * minute, () => [found(['198.35.26.3'])]);
    assert.deepEqual(addressesOf(later), ['198.35.26.3']);
  });
});

describe('the next lookup of a host', () => {
  const after = (ttlSeconds: number, jitter = 0) =>
    waitOf(look(live(), [found(['198.35.26.1'], ttlSeconds)], start, jitter), start);

  it('follows its TTL, between 30 seconds and five minutes, and up to a tenth later', () => {
    assert.equal(after(0), 30);
    assert.equal(after(1), 30);
    assert.equal(after(86_400), 300);
    assert.equal(after(120), 120);
    fc.assert(
      fc.property(fc.nat(200_000), fc.double({ min: 0, max: 0.999, noNaN: true }), (ttl, jitter) => {
        const base = Math.min(Math.max(ttl, 30), 300);
        const wait = after(ttl, jitter) ?? 0;
        assert.ok(wait >= base && wait <= base * 1.1);
      }),
    );
  });

  it('follows the shortest of several TTLs', () => {
    const short = look(live(), [found(['198.35.26.1'], 250), found(['198.35.26.2'], 45)], start);
    assert.equal(waitOf(short, start), 45);
  });

  it('is delayed further each time DNS fails, up to five minutes', () => {
    let record = live();
    const waits = Array.from({ length: 7 }, () => {
      const now = Date.parse(record.dueAt ?? '');
      record = look(record, [failed], now);
      return waitOf(record, now);
    });
    assert.deepEqual(waits, [30, 60, 120, 240, 300, 300, 300]);
    assert.equal(look({ ...record, failures: 5000 }, [failed], start).failures, 5001);
  });

  it('is hourly when no team that lists it has a running notebook', () => {
    const idle = defined(wanted(undefined, name, false, start));
    assert.equal(waitOf(look(idle, [found(['198.35.26.1'], 30)], start), start), 3600);
    const first = look(idle, [failed], start);
    assert.equal(waitOf(first, start), 30, 'a list that was just ordered is not left unresolved for an hour');
    const stopped = start + 46 * minute;
    const cold = look(
      { ...live(), dueAt: iso(stopped), wantedAt: iso(stopped) },
      [found(['198.35.26.1'])],
      stopped,
    );
    assert.equal(waitOf(cold, stopped), 3600);
  });

  it('does not happen when no team has wanted it for two hours', () => {
    const forgotten = { ...live(), dueAt: iso(start + 2 * hour + minute) };
    const now = start + 2 * hour + minute;
    assert.equal(look(forgotten, [found(['198.35.26.1'])], now).dueAt, null);
  });
});

describe('a host that a team wants', () => {
  it('is due at once when it is new, and records whether a notebook is running', () => {
    assert.partialDeepStrictEqual(wanted(undefined, name, false, start), {
      dueAt: aMoment,
      wantedAt: aMoment,
      liveAt: null,
    });
    assert.equal(live().liveAt, aMoment);
  });

  it('is not written again unless something changes', () => {
    const record = look(live(), [found(['198.35.26.1'], 300)], start);
    assert.equal(wanted(record, name, true, start + minute), undefined);
    assert.equal(wanted(record, name, false, start + 10 * minute), undefined);
    assert.equal(wanted(record, name, true, start + minute + 1)?.liveAt, iso(start + minute + 1));
    const later = start + 10 * minute + 1;
    assert.equal(wanted(record, name, false, later)?.wantedAt, iso(later));
    assert.equal(wanted(record, name, false, later)?.liveAt, record.liveAt);
  });

  it('is looked up when its first notebook starts, but not twice within 30 seconds', () => {
    const idle = look(defined(wanted(undefined, name, false, start)), [found(['198.35.26.1'])], start);
    const soon = start + 10 * second;
    assert.equal(wanted(idle, name, true, soon)?.dueAt, iso(start + 30 * second));
    const later = start + 20 * minute;
    assert.equal(wanted(idle, name, true, later)?.dueAt, iso(later));
    assert.equal(wanted(idle, name, false, soon), undefined);
  });

  it('is due at once after it expired, without its old addresses', () => {
    const old = { ...look(live(), [found(['198.35.26.1'])], start), dueAt: null };
    const now = start + 3 * day;
    const revived = defined(wanted(old, name, true, now));
    assert.equal(revived.dueAt, iso(now));
    assert.deepEqual(addressesOf(revived), []);
    assert.deepEqual(addressesOf(defined(wanted(old, name, true, start + 30 * minute))), ['198.35.26.1']);
  });
});

describe('the reported state of a host', () => {
  it('is waiting for its first lookup, has addresses, or has none with the reason', () => {
    assert.deepEqual(hostState(undefined, start), { state: 'pending' });
    assert.deepEqual(hostState(live(), start), { state: 'pending' });
    assert.deepEqual(hostState(look(live(), [found(['198.35.26.1'])], start), start), { state: 'resolved' });
    assert.deepEqual(hostState(look(live(), [failed], start), start), {
      state: 'unresolved',
      message: 'SERVFAIL',
    });
    const nothing = hostState(look(live(), [absent], start), start);
    assert.deepEqual(nothing, {
      state: 'unresolved',
      message: 'The name does not exist, or has no address.',
    });
  });

  it('has the time since when it is stale: DNS fails, the name is gone, or no lookup happens', () => {
    const record = look(live(), [found(['198.35.26.1'])], start);
    const silent = lookUntil(record, start + 30 * minute, () => [failed]);
    assert.deepEqual(hostState(silent, start + 30 * minute), {
      state: 'stale',
      since: aMoment,
      message: 'SERVFAIL',
    });
    assert.equal(hostState(look(record, [failed], start + minute), start + minute).state, 'resolved');
    const gone = lookUntil(record, start + 10 * minute, () => [absent]);
    assert.equal(hostState(gone, start + 10 * minute).state, 'stale');
    const idle = look(defined(wanted(undefined, name, false, start)), [found(['198.35.26.1'])], start);
    assert.equal(hostState(idle, start + hour).state, 'resolved');
    assert.partialDeepStrictEqual(hostState(idle, start + 3 * hour), {
      state: 'stale',
      message: 'It has not been looked up since.',
    });
  });

  it('is fresh for 30 seconds after a lookup, even when the clock jumps', () => {
    const record = look(live(), [failed], start);
    assert.ok(isFresh(record, start + 29 * second));
    assert.ok(!isFresh(record, start + 30 * second));
    assert.ok(!isFresh(record, start - hour));
    assert.ok(!isFresh(live(), start));
  });
});

describe('a lookup in progress', () => {
  it('keeps every other instance from resolving the host for a minute', () => {
    const record = live();
    assert.ok(isDue(record, start));
    const taken = leased(record, start);
    assert.ok(!isDue(taken, start + 59 * second));
    assert.ok(isDue(taken, start + minute));
  });
});

function iso(at: number): string {
  return new Date(at).toISOString();
}
