import type { KubeObject } from './object.ts';
import type { Resource } from './resources.ts';

/** Who sends a request. */
export interface User {
  readonly username: string;
  readonly groups: readonly string[];
}

/** What admission is asked about. */
export interface AdmissionRequest {
  readonly resource: Resource;
  readonly subresource: string;
  readonly operation: 'CREATE' | 'UPDATE' | 'DELETE';
  readonly namespace: string;
  readonly name: string;
  readonly object: KubeObject | undefined;
  readonly oldObject: KubeObject | undefined;
  readonly user: User;
  readonly dryRun: boolean;
}

/** Refuses by throwing an ApiError; answers warnings for the client. */
export type Admit = (request: AdmissionRequest) => Promise<readonly string[]>;
