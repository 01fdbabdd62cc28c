import type { Registries, RegistryCaller } from '../ports/registries.ts';

/** The registries as one caller uses them: their limited requests are shared between callers. */
export const asCaller = (registries: Registries, caller: RegistryCaller): Registries => ({
  digest: (image, signal, options) => registries.digest(image, signal, { ...options, caller }),
  inspect: (image, signal, options) => registries.inspect(image, signal, { ...options, caller }),
  tags: (repository, signal, options) => registries.tags(repository, signal, { ...options, caller }),
  garImages: (garTeam, signal, options) => registries.garImages(garTeam, signal, { ...options, caller }),
});
