import assert from 'node:assert/strict';
import { before, describe, it } from 'node:test';
import { at, type Body, fields, list, type WireClient } from './client.ts';

export const networkPolicies = (client: WireClient): void => {
  const { post, newNamespace, policiesIn } = client;

  describe('a network policy', () => {
    const refusedFor = async (egress: unknown, ...expected: string[]): Promise<void> => {
      const answer = await post(policies, {
        metadata: { name: 'bad' },
        spec: { podSelector: {}, policyTypes: ['Egress'], egress },
      });
      assert.equal(answer.status, 422);
      assert.deepEqual(
        list(at(answer.body, 'details', 'causes')).map((cause) => `${cause.field}: ${cause.message}`),
        expected,
      );
    };
    let policies = '';
    before(async () => {
      policies = policiesIn(await newNamespace());
    });
    const port = (one: Body): unknown => [{ ports: [one] }];
    const peer = (one: Body): unknown => [{ to: [one] }];

    it('NetworkPolicy: refuses ports out of range, and a range of a named port', async () => {
      const range = 'must be between 1 and 65535, inclusive';
      await refusedFor(port({ port: 0 }), `spec.egress[0].ports[0].port: Invalid value: 0: ${range}`);
      await refusedFor(port({ port: 70000 }), `spec.egress[0].ports[0].port: Invalid value: 70000: ${range}`);
      await refusedFor(
        port({ port: 443, endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 443: must be greater than or equal to `port`',
      );
      await refusedFor(
        port({ port: 443, endPort: 70000 }),
        `spec.egress[0].ports[0].endPort: Invalid value: 70000: ${range}`,
      );
      await refusedFor(
        port({ port: 'https', endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is non-numeric',
      );
      await refusedFor(
        port({ endPort: 80 }),
        'spec.egress[0].ports[0].endPort: Invalid value: 80: may not be specified when `port` is not specified',
      );
      await refusedFor(
        port({ port: 'Bad_Name' }),
        'spec.egress[0].ports[0].port: Invalid value: "Bad_Name": must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)',
      );
      await refusedFor(
        port({ port: 1, protocol: 'ICMP' }),
        'spec.egress[0].ports[0].protocol: Unsupported value: "ICMP": supported values: "TCP", "UDP", "SCTP"',
      );
    });

    it('NetworkPolicy: needs a peer with either a block or selectors', async () => {
      await refusedFor(peer({}), 'spec.egress[0].to[0]: Required value: must specify a peer');
      await refusedFor(
        peer({ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }),
        'spec.egress[0].to[0]: Forbidden: may not specify both ipBlock and another peer',
      );
      await refusedFor(
        peer({ podSelector: { matchExpressions: [{ key: 'a', operator: 'Is' }] } }),
        'spec.egress[0].to[0].podSelector.matchExpressions[0].operator: Invalid value: "Is": not a valid selector operator',
      );
    });

    it('NetworkPolicy: needs a valid CIDR, with exceptions inside it', async () => {
      const why = 'must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)';
      for (const cidr of ['1.2.3.4', '1.2.3.4/33', '1.2.3/24', 'example.com/32', '::1/129']) {
        await refusedFor(
          peer({ ipBlock: { cidr } }),
          `spec.egress[0].to[0].ipBlock.cidr: Invalid value: "${cidr}": ${why}`,
        );
      }
      await refusedFor(peer({ ipBlock: { cidr: '' } }), 'spec.egress[0].to[0].ipBlock.cidr: Required value');
      for (const except of ['11.0.0.0/16', '10.0.0.0/8']) {
        await refusedFor(
          peer({ ipBlock: { cidr: '10.0.0.0/8', except: [except] } }),
          `spec.egress[0].to[0].ipBlock.except[0]: Invalid value: "${except}": must be a strict subset of \`cidr\``,
        );
      }
    });

    it('NetworkPolicy: warns about host bits in a CIDR', async () => {
      const answer = await post(policies, {
        metadata: { name: 'host-bits' },
        spec: { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: '1.2.3.4/24' } }] }] },
      });
      assert.equal(answer.status, 201);
      assert.match(
        String(answer.headers.get('warning')),
        /spec\.egress\[0\]\.to\[0\]\.ipBlock\.cidr: CIDR value \\"1\.2\.3\.4\/24\\" is ambiguous/,
      );
    });

    it('NetworkPolicy: refuses unknown policy types', async () => {
      const answer = await post(policies, {
        metadata: { name: 'bad' },
        spec: { podSelector: {}, policyTypes: ['Both'] },
      });
      assert.deepEqual(fields(answer), ['spec.policyTypes[0]']);
    });

    it('NetworkPolicy: accepts port ranges, port names, selectors and IPv6', async () => {
      const spec = {
        podSelector: { matchLabels: { component: 'singleuser-server' } },
        policyTypes: ['Egress'],
        egress: [
          {
            to: [{ ipBlock: { cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] } }],
            ports: [{ protocol: 'TCP', port: 1000, endPort: 2000 }],
          },
          { to: [{ ipBlock: { cidr: '2001:db8::/64' } }], ports: [{ protocol: 'UDP', port: 53 }] },
          {
            to: [{ namespaceSelector: {}, podSelector: { matchLabels: { a: 'b' } } }],
            ports: [{ protocol: 'TCP', port: 'http' }],
          },
        ],
      };
      const created = await post(policies, { metadata: { name: 'good' }, spec });
      assert.deepEqual([created.status, created.body.spec], [201, spec]);
    });
  });
};
