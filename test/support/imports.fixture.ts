// Imports what its arguments name, and prints what that loaded and what it left open, as JSON.
import { registerHooks } from 'node:module';

const packages = new Set<string>();
registerHooks({
  load(url, context, next) {
    const [, name] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(url) ?? [];
    if (name !== undefined) packages.add(name);
    return next(url, context);
  },
});

for (const target of process.argv.slice(2)) await import(target);
const open = process.getActiveResourcesInfo().filter((resource) => !/^(Pipe|TTY|FS)/.test(resource));
console.log(JSON.stringify({ packages: [...packages].toSorted(), open }));
