import { asList, asMap, asText, asTexts, at, type Json, type JsonMap } from './json.ts';
import { isBeingDeleted, type KubeObject, nameOf } from './object.ts';
import type { Resource } from './resources.ts';

/** One column of `kubectl get`; the server computes the cells. */
interface Column {
  readonly name: string;
  readonly cell: (object: KubeObject, now: number) => Json;
  /** Only shown with -o wide. */
  readonly wide?: true;
}

const column = (name: string, cell: Column['cell'], wide?: true): Column => ({
  name,
  cell,
  ...(wide === undefined ? {} : { wide }),
});

const path = (name: string, ...steps: string[]): Column =>
  column(name, (object) => asText(at(object, ...steps)) || '<none>');

const count = (name: string, ...steps: string[]): Column =>
  column(name, (object) => at(object, ...steps) ?? 0);

const entries = (name: string, field: string): Column =>
  column(name, (object) => Object.keys(asMap(object[field])).length);

const AGE = column('Age', (object, now) => age(asText(object.metadata.creationTimestamp), now));

const condition = (object: KubeObject, type: string): JsonMap =>
  asMap(asList(at(object, 'status', 'conditions')).find((one) => at(one, 'type') === type));

const readiness: readonly Column[] = [
  AGE,
  column('Ready', (object) => asText(condition(object, 'Ready').status)),
  column('Status', (object) => asText(condition(object, 'Ready').message)),
];

const COLUMNS: Readonly<Record<string, readonly Column[]>> = {
  Namespace: [path('Status', 'status', 'phase'), AGE],
  ConfigMap: [entries('Data', 'data'), AGE],
  Secret: [path('Type', 'type'), entries('Data', 'data'), AGE],
  ServiceAccount: [column('Secrets', (object) => asList(object.secrets).length), AGE],
  Pod: [
    column('Ready', (object) => {
      const statuses = asList(at(object, 'status', 'containerStatuses'));
      const ready = statuses.filter((one) => at(one, 'ready') === true).length;
      return `${ready}/${asList(at(object, 'spec', 'containers')).length}`;
    }),
    column('Status', podStatus),
    column('Restarts', (object) =>
      String(
        asList(at(object, 'status', 'containerStatuses')).reduce<number>(
          (sum, one) => sum + Number(at(one, 'restartCount') ?? 0),
          0,
        ),
      ),
    ),
    AGE,
    column('IP', (object) => asText(at(object, 'status', 'podIP')) || '<none>', true),
    column('Node', (object) => asText(at(object, 'spec', 'nodeName')) || '<none>', true),
  ],
  Service: [
    path('Type', 'spec', 'type'),
    path('Cluster-IP', 'spec', 'clusterIP'),
    column('External-IP', () => '<none>'),
    column('Port(s)', (object) =>
      asList(at(object, 'spec', 'ports'))
        .map((port) => `${at(port, 'port')}/${asText(at(port, 'protocol'))}`)
        .join(','),
    ),
    AGE,
  ],
  PersistentVolumeClaim: [
    path('Status', 'status', 'phase'),
    column('Volume', (object) => asText(at(object, 'spec', 'volumeName'))),
    column('Capacity', (object) => asText(at(object, 'status', 'capacity', 'storage'))),
    column('Access Modes', (object) =>
      asTexts(at(object, 'status', 'accessModes'))
        .map((mode) => mode.replace(/[a-z]/g, ''))
        .join(','),
    ),
    column('StorageClass', (object) => asText(at(object, 'spec', 'storageClassName'))),
    AGE,
  ],
  Deployment: [
    column(
      'Ready',
      (object) => `${at(object, 'status', 'readyReplicas') ?? 0}/${at(object, 'spec', 'replicas') ?? 0}`,
    ),
    count('Up-to-date', 'status', 'updatedReplicas'),
    count('Available', 'status', 'availableReplicas'),
    AGE,
  ],
  StatefulSet: [
    column(
      'Ready',
      (object) => `${at(object, 'status', 'readyReplicas') ?? 0}/${at(object, 'spec', 'replicas') ?? 0}`,
    ),
    AGE,
  ],
  ReplicaSet: [
    count('Desired', 'spec', 'replicas'),
    count('Current', 'status', 'replicas'),
    count('Ready', 'status', 'readyReplicas'),
    AGE,
  ],
  NetworkPolicy: [
    column('Pod-Selector', (object) => {
      const labels = Object.entries(asMap(at(object, 'spec', 'podSelector', 'matchLabels')));
      return labels.map(([key, value]) => `${key}=${value}`).join(',') || '<none>';
    }),
    AGE,
  ],
  Event: [
    column('Last Seen', (object, now) =>
      age(asText(object.lastTimestamp) || asText(object.metadata.creationTimestamp), now),
    ),
    path('Type', 'type'),
    path('Reason', 'reason'),
    column('Object', (object) => {
      const about = asMap(object.involvedObject);
      return `${asText(about.kind).toLowerCase()}/${asText(about.name)}`;
    }),
    column('Message', (object) => asText(object.message)),
  ],
  HelmRelease: readiness,
  HelmRepository: [column('URL', (object) => asText(at(object, 'spec', 'url'))), ...readiness],
};

function podStatus(object: KubeObject): Json {
  if (isBeingDeleted(object)) return 'Terminating';
  const waiting = asList(at(object, 'status', 'containerStatuses')).map((one) =>
    asText(at(one, 'state', 'waiting', 'reason')),
  );
  return (
    waiting.find((reason) => reason !== '') ??
    (asText(at(object, 'status', 'reason')) || asText(at(object, 'status', 'phase')))
  );
}

/** Objects as the rows that `kubectl get` prints. */
export function tableOf(
  resource: Resource,
  objects: readonly KubeObject[],
  metadata: JsonMap,
  includeObject: string,
  now: number,
): JsonMap {
  const columns = [column('Name', nameOf), ...(COLUMNS[resource.kind] ?? [AGE])];
  return {
    kind: 'Table',
    apiVersion: 'meta.k8s.io/v1',
    metadata,
    columnDefinitions: columns.map(({ name, wide }) => ({
      name,
      type: 'string',
      format: name === 'Name' ? 'name' : '',
      description: '',
      priority: wide === true ? 1 : 0,
    })),
    rows: objects.map((object) => ({
      cells: columns.map(({ cell }) => cell(object, now)),
      ...(includeObject === 'None' ? {} : { object: includeObject === 'Object' ? object : partial(object) }),
    })),
  };
}

function partial(object: KubeObject): JsonMap {
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata };
}

/** An age as kubectl prints it: `12s`, `5m30s`, `3h`, `2d`. */
function age(timestamp: string, now: number): string {
  const seconds = Math.max(0, Math.floor((now - Date.parse(timestamp)) / 1000));
  if (Number.isNaN(seconds)) return '<unknown>';
  if (seconds < 120) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 10) return seconds % 60 === 0 ? `${minutes}m` : `${minutes}m${seconds % 60}s`;
  if (minutes < 180) return `${minutes}m`;
  const hours = Math.floor(minutes / 60);
  if (hours < 8) return minutes % 60 === 0 ? `${hours}h` : `${hours}h${minutes % 60}m`;
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`;
}
