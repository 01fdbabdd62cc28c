import { readFileSync } from 'node:fs';
import type { Client } from '@knada/simulators/kubernetes/client.ts';
import { asObject } from '@knada/simulators/kubernetes/object.ts';
import { parseAllDocuments } from 'yaml';

const files = ['helm-repository.yaml', 'admission-policies.yaml', 'admission-webhook.yaml'] as const;

/** Installs what the platform team installs in a real cluster before the first team is created (see deploy/README.md). */
export const installPlatform = async (
  client: Client,
  values: { readonly PROJECT_ID: string; readonly ADMISSION_URL: string },
): Promise<void> => {
  await client.apply(
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'flux-system' } },
    { force: true },
  );
  for (const file of files) {
    const text = Object.entries(values).reduce(
      // As deploy/render.sh does.
      (rendered, [name, value]) => rendered.replaceAll(`\${${name}}`, value),
      readFileSync(new URL(`../deploy/${file}`, import.meta.url), 'utf8'),
    );
    for (const document of parseAllDocuments(text)) {
      await client.apply(asObject(document.toJS()), { force: true });
    }
  }
};
