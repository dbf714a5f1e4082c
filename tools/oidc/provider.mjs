// The OpenID Connect provider of the tests: npm `oidc-provider`, which is certified, with its own pages for sign-in and
// consent. Any name with any password signs in if the tests know the user.
//
//   node provider.mjs FOLDER_WITH_NODE_MODULES '{"clients": [...], "accessTokenTtl": 3600}'
//
// Prints {"issuer": …, "control": …} once both servers listen, and ends when its standard input does.
// Control (POST, JSON): /user {name, roles, attributes} sets one, /user {name, gone: true} removes one, /down and /up
// close and open the provider's port, /counts tells how often each grant was asked for.
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [, , modules, json] = process.argv;
const { default: Provider } = await import(pathToFileURL(join(modules, 'node_modules/oidc-provider/lib/index.js')));
const { clients, accessTokenTtl = 3600, deviceCodeTtl = 600 } = JSON.parse(json);

const users = new Map();
const counts = {};
let answer = (_, response) => response.writeHead(503).end();
const open = new Set();

function listen(port, handler) {
  const server = createServer(handler);
  server.on('connection', (socket) => open.add(socket.on('close', () => open.delete(socket))));
  return new Promise((resolve) => server.listen(port, 'localhost', () => resolve(server)));
}

let server = await listen(0, (request, response) => answer(request, response));
const { port } = server.address();
const issuer = `http://localhost:${port}`;
const key = (kid, type, options) => ({ kid, use: 'sig', ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }) });

const provider = new Provider(issuer, {
  clients,
  jwks: { keys: [key('rsa', 'rsa', { modulusLength: 2048 }), key('ec', 'ec', { namedCurve: 'P-256' }), key('ed', 'ed25519')] },
  enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
  cookies: { keys: [randomBytes(16).toString('hex')] },
  scopes: ['openid', 'offline_access'],
  claims: { openid: ['sub', 'roles', 'attributes'] },
  // Claims of scopes go into the ID token, as with most providers that people run.
  conformIdTokenClaims: false,
  findAccount: (_, name) => (users.has(name) ? { accountId: name, claims: () => ({ sub: name, ...users.get(name) }) } : undefined),
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  pkce: { required: () => true },
  issueRefreshToken: (_, client) => client.grantTypeAllowed('refresh_token'),
  rotateRefreshToken: true,
  ttl: {
    AccessToken: accessTokenTtl, DeviceCode: deviceCodeTtl, AuthorizationCode: 60, Grant: 86400, IdToken: 3600,
    Interaction: 3600, RefreshToken: 86400, Session: 86400,
  },
});
for (const event of ['grant.success', 'grant.error']) {
  provider.on(event, (context) => {
    const name = `${event}:${context.oidc.params?.grant_type}`;
    counts[name] = (counts[name] ?? 0) + 1;
  });
}
answer = provider.callback();

const controls = {
  '/user': ({ name, roles = [], attributes = {}, gone = false }) => {
    if (gone) users.delete(name);
    else users.set(name, { roles, attributes });
  },
  '/down': async () => {
    const closed = new Promise((resolve) => server.close(resolve));
    open.forEach((socket) => socket.localPort === port && socket.destroy());
    await closed;
  },
  '/up': async () => { server = await listen(port, (request, response) => answer(request, response)); },
  '/counts': () => counts,
};
const control = await listen(0, async (request, response) => {
  const body = await request.reduce((text, chunk) => text + chunk, '');
  const run = controls[request.url];
  if (!run) return response.writeHead(404).end();
  const result = await run(JSON.parse(body || '{}'));
  return response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(result ?? {}));
});
console.log(JSON.stringify({ issuer, control: `http://localhost:${control.address().port}` }));
process.stdin.resume().on('end', () => process.exit());
