import Type from 'typebox';
import { answer, ref } from '../lib/schema.ts';
import { pageOf } from './page.ts';

export const Manifest = Type.Unsafe<{ apiVersion: string; kind: string } & Record<string, unknown>>({
  type: 'object',
  $id: 'Manifest',
  description: 'A Kubernetes object.',
  required: ['apiVersion', 'kind', 'metadata'],
  properties: {
    apiVersion: { type: 'string', examples: ['v1'] },
    kind: { type: 'string', examples: ['Namespace'] },
    metadata: { type: 'object', additionalProperties: true, examples: [{ name: 'team-team-a-3f9c' }] },
  },
  additionalProperties: true,
});

export const ManifestPage = answer(pageOf(ref(Manifest), 'ManifestPage').properties, {
  $id: 'ManifestPage',
  description: 'The applied objects, in the order in which they are applied. Secrets show only their keys.',
});
