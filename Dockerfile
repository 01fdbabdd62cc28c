# One image for the API (the default command) and for each function (another command, deploy/functions.yaml).
FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
# Without the workspace of the simulators.
RUN npm ci --omit=dev --workspaces=false --ignore-scripts --no-audit --no-fund

FROM node:24-slim
WORKDIR /app
ENV NODE_ENV=production \
    NODE_COMPILE_CACHE=/app/.compile-cache
COPY package.json ./
COPY --from=dependencies /app/node_modules ./node_modules
COPY src ./src
COPY functions ./functions
# Filled as the user that runs the image, because the compile cache is per user.
RUN install --directory --owner=node --group=node /app/.compile-cache
USER node
RUN node --input-type=module --eval "await Promise.all(['./src/api/app.ts', '@google-cloud/firestore', '@kubernetes/client-node', 'google-auth-library', 'undici'].map((name) => import(name)))"
EXPOSE 8080
CMD ["node", "src/main.ts"]
