# One image: the API (the default command) and, by another command, each function (deploy/functions.yaml).
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without the simulators, which are a workspace of their own.
RUN npm ci --omit=dev --workspaces=false --ignore-scripts --no-audit --no-fund

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.compile-cache
COPY package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY src ./src
COPY functions ./functions
# The compile cache belongs to the user that fills it, so it is filled by the one that runs.
RUN install --directory --owner=node --group=node /app/.compile-cache
USER node
RUN node --input-type=module --eval "await Promise.all(['./src/api/app.ts', '@google-cloud/firestore', '@kubernetes/client-node', 'google-auth-library', 'undici'].map((name) => import(name)))"
EXPOSE 8080
CMD ["node", "src/main.ts"]
