interface PodMetadata {
  readonly namespace?: string;
  readonly name?: string;
  readonly uid?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** What the API server sends before it makes a pod; `request` replaces parts of it, as undefined too. */
export const aReview = (
  {
    namespace = 'team-red-3f2a',
    name = 'jupyter-kari',
    uid = 'b6e6f9a0-0000-4000-8000-000000000002',
    labels = {},
    annotations = {},
  }: PodMetadata = {},
  request: object = {},
): object =>
  // Through JSON, as it travels.
  JSON.parse(
    JSON.stringify({
      apiVersion: 'admission.k8s.io/v1',
      kind: 'AdmissionReview',
      request: {
        uid: 'b6e6f9a0-0000-4000-8000-000000000001',
        kind: { group: '', version: 'v1', kind: 'Pod' },
        resource: { group: '', version: 'v1', resource: 'pods' },
        name,
        namespace,
        operation: 'CREATE',
        userInfo: { username: 'system:serviceaccount:team-red-3f2a:hub', groups: ['system:authenticated'] },
        dryRun: false,
        oldObject: null,
        object: {
          apiVersion: 'v1',
          kind: 'Pod',
          metadata: { name, namespace, uid, labels, annotations },
          spec: { containers: [{ name: 'notebook', image: 'ghcr.io/navikt/jupyter:1' }] },
        },
        ...request,
      },
    }),
  );
