import { listEnvironments, listPythonVersions } from '../environments/catalogue.ts';
import type { App } from '../http/server.ts';
import { ref } from '../lib/schema.ts';
import {
  type Catalogue,
  CatalogueSource,
  JupyterSupport,
  PythonEnvironmentPage,
  PythonVersionInfo,
  PythonVersionPage,
} from '../model/catalogue.ts';
import { Driver, Environment, EnvironmentGap } from '../model/environment.ts';

export const environmentSchemas = [
  CatalogueSource,
  Driver,
  Environment,
  EnvironmentGap,
  JupyterSupport,
  PythonEnvironmentPage,
  PythonVersionInfo,
  PythonVersionPage,
];

const tags = ['environments'];

export interface EnvironmentRouteDeps {
  /** The available environments; before the first refresh, those that ship with this version. */
  readonly catalogue: () => Promise<Catalogue>;
}

export const registerEnvironments = (app: App, { catalogue }: EnvironmentRouteDeps): void => {
  app.route({
    method: 'GET',
    url: '/v1/environments',
    schema: {
      operationId: 'listEnvironments',
      summary: 'List the Python environments that members can choose',
      description:
        'The newest standard image of each Python version that still gets fixes and that Jupyter supports. gaps lists the versions that are not available and why. Drivers are listed with their source; a driver that is not listed has not been checked.',
      tags,
      response: { 200: ref(PythonEnvironmentPage) },
    },
    handler: async () => listEnvironments(await catalogue()),
  });

  app.route({
    method: 'GET',
    url: '/v1/python-versions',
    schema: {
      operationId: 'listPythonVersions',
      summary: 'List the release cycle and Jupyter support of every Python version',
      description:
        'Jupyter’s images are those on quay.io; the images on Docker Hub have not been updated since October 2023.',
      tags,
      response: { 200: ref(PythonVersionPage) },
    },
    handler: async () => listPythonVersions(await catalogue()),
  });
};
