// The API, with the client of every outside system imported before it starts.
import '@google-cloud/artifact-registry';
import '@google-cloud/firestore';
import '@google-cloud/secret-manager';
import '@kubernetes/client-node';
import 'google-auth-library';

await import('../../src/main.ts');
