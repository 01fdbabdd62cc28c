import type { OperationRecord } from '../model/operation.ts';
import type { HubRefusal } from '../ports/hubs.ts';
import type { PodView } from './pod.ts';

/** One outside call. Each is safe to repeat. */
export type Call =
  | { readonly call: 'stop'; readonly formerPod: string | null }
  | { readonly call: 'force_stop'; readonly pod: PodView | undefined }
  | { readonly call: 'start'; readonly formerPod: string | null; readonly isUser: boolean }
  /** Makes the hub notice that the pod of a server it considers running or starting is gone. */
  | { readonly call: 'stop_stale' }
  | { readonly call: 'cancel' }
  | { readonly call: 'confirm_access' }
  | { readonly call: 'restart_hub' };

/** The outcome of a call. `no_answer`: it is unknown whether the call arrived. */
export type Answer =
  | { readonly answer: 'done' }
  | { readonly answer: 'not_yet' }
  | { readonly answer: 'no_answer' }
  | ({ readonly answer: 'refused' } & HubRefusal);

/** What to do next with an operation: wait, make a call, or write a new state. */
export type Next =
  | { readonly do: 'wait' }
  | ({ readonly do: 'call' } & Call)
  | { readonly do: 'write'; readonly to: OperationRecord };

export const wait: Next = { do: 'wait' };
export const write = (to: OperationRecord): Next => ({ do: 'write', to });
