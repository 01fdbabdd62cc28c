import { stageOf } from '@knada/simulators/real/kwok.ts';

/** On a pod whose container runs and answers: the address at which it does. Kwok then has the pod Running and ready. */
export const podIpAnnotation = 'spawning.test/pod-ip';

const running = stageOf(
  'pod-running',
  'Pod',
  [
    { key: '.metadata.deletionTimestamp', operator: 'DoesNotExist' },
    { key: '.status.podIP', operator: 'DoesNotExist' },
    { key: `.metadata.annotations["${podIpAnnotation}"]`, operator: 'Exists' },
  ],
  {
    event: { type: 'Normal', reason: 'Started', message: 'Started container' },
    statusTemplate: `
{{ $now := Now }}
conditions:
{{ range (list "PodScheduled" "Initialized" "ContainersReady" "Ready") }}
- { type: {{ . }}, status: "True", lastTransitionTime: {{ $now | Quote }} }
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- name: {{ .name | Quote }}
  image: {{ .image | Quote }}
  imageID: ""
  ready: true
  started: true
  restartCount: 0
  state: { running: { startedAt: {{ $now | Quote }} } }
{{ end }}
hostIP: 127.0.0.1
podIP: {{ index .metadata.annotations "${podIpAnnotation}" | Quote }}
phase: Running
startTime: {{ $now | Quote }}
`,
  },
);

/** Kwok says that pods run; when one is gone, the node below says, since it knows when its process has ended. */
export const podStages = [running];
