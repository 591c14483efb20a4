#!/bin/bash
# Generates dist, which the server embeds, from src. The names of parts contain a hash of their content, so browsers may
# cache them for ever.
set -euo pipefail
cd "$(dirname "$0")"
make -s -C ../.. packages
npx --no-install tsc --noEmit
rm -rf dist
npx --no-install esbuild src/main.tsx src/style.css duckwire=../client/src/index.ts --bundle --splitting --format=esm --target=es2022 --minify --jsx=automatic --jsx-import-source=preact \
	--legal-comments=linked --entry-names='[name]' --chunk-names='part-[hash]' --outdir=dist --log-level=warning
cp src/index.html dist/
for package in ../../client/node_modules/phoenix @codemirror/{autocomplete,commands,lang-javascript,language,state,view} @lezer/{common,highlight,javascript,lr} @marijn/find-cluster-break crelt lib0 preact style-mod uplot w3c-keyname yjs; do
	license=$(find node_modules/$package -maxdepth 1 -iname 'licen[sc]e*' | head -1)
	if [ -n "$license" ]; then printf '== %s\n\n' "${package##*node_modules/}" && cat "$license" && echo; fi
done >dist/LICENSES.txt
