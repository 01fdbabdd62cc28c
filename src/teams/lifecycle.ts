import type { NotebookRecord, TeamRecord } from '../model/record.ts';

/** Whether the team has opted in to an allowlist. While a notebook is being deleted its restriction stays. */
export const isRestricted = ({ notebook }: Pick<TeamRecord, 'notebook'>): boolean =>
  notebook?.spec.allowlist.enabled === true;

/** Whether the team has a notebook, and neither of the two is being deleted. */
export const hasNotebook = (team: TeamRecord): team is TeamRecord & { readonly notebook: NotebookRecord } =>
  team.deletion === null && team.notebook !== null && team.notebook.deletion === null;
