#!/bin/bash
# Generates the committed files of this folder: the reader's bundle from its npm package, and the copy of openapi.yaml,
# because go:embed cannot access the parent folder.
set -euo pipefail
cd "$(dirname "$0")"
make -s -C ../.. packages
# The reader's logo would be loaded from another host, which the page's content security policy forbids. Without it, the
# reader shows none.
sed 's|https://cdn.redoc.ly/redoc/logo-mini.svg|data:,|' node_modules/redoc/bundles/redoc.standalone.js > redoc.standalone.js
cp node_modules/redoc/bundles/redoc.standalone.js.LICENSE.txt .
cp node_modules/redoc/LICENSE LICENSE.redoc
cp ../../openapi.yaml .
