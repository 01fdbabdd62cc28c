// The framework alone: /livez, and the given document at every other path.
import { fastify } from 'fastify';

const app = fastify();
const body: unknown = JSON.parse(process.env.BODY ?? '{}');
app.get('/livez', async () => ({ status: 'ok' }));
app.get('/*', async () => body);
await app.listen({ port: Number(process.env.PORT), host: '127.0.0.1' });
