import { listEnvironments, listPythonVersions } from '../environments/catalogue.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import {
  type Catalogue,
  CatalogueSource,
  EnvironmentList,
  PythonVersionInfo,
  PythonVersionList,
} from '../model/catalogue.ts';
import { Driver, Environment, EnvironmentGap } from '../model/environment.ts';

export const environmentSchemas = [
  CatalogueSource,
  Driver,
  Environment,
  EnvironmentGap,
  EnvironmentList,
  PythonVersionInfo,
  PythonVersionList,
];

const tags = ['environments'];

export interface EnvironmentRouteDeps {
  /** The environments that are offered; before the first refresh what ships with this version. */
  readonly catalogue: () => Promise<Catalogue>;
}

export const registerEnvironments = (app: App, { catalogue }: EnvironmentRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/environments',
    schema: {
      operationId: 'listEnvironments',
      summary: 'The Python environments offered at login',
      description:
        'The newest standard image of each Python version that gets fixes and that Jupyter supports. gaps says what is not offered, and why. Drivers are facts with their source; what is not listed nobody has looked up.',
      tags,
      response: { 200: ref(EnvironmentList) },
    },
    handler: async () => listEnvironments(await catalogue()),
  });

  app.route({
    method: 'GET',
    url: '/v1/python-versions',
    schema: {
      operationId: 'listPythonVersions',
      summary: 'Release cycle and Jupyter support of every Python version',
      description:
        'Jupyter’s images are those of quay.io; the ones on Docker Hub have not been updated since October 2023.',
      tags,
      response: { 200: ref(PythonVersionList) },
    },
    handler: async () => listPythonVersions(await catalogue()),
  });
};
