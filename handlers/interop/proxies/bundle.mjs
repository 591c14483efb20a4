// Bundles our own client from its sources, together with the official phoenix, for Node.js: node bundle.mjs FILE

import { build } from 'esbuild'

await build({
  entryPoints: ['../../../web/client/src/index.ts'],
  outfile: process.argv[2],
  bundle: true,
  format: 'esm',
  platform: 'node',
  alias: { phoenix: new URL('../node_modules/phoenix', import.meta.url).pathname },
  logLevel: 'error',
})
