#!/bin/bash
# Generates the committed files of this folder: the reader's bundle from its npm package, and the copy of openapi.yaml,
# because go:embed cannot access the parent folder.
set -euo pipefail
cd "$(dirname "$0")"
make -s -C ../.. packages
cp node_modules/redoc/bundles/redoc.standalone.js .
cp node_modules/redoc/bundles/redoc.standalone.js.LICENSE.txt .
cp node_modules/redoc/LICENSE LICENSE.redoc
cp ../../openapi.yaml .
