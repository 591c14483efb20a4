#!/bin/bash
# Makes the committed files of this folder: the reader's bundle from its npm package, and the copy of openapi.yaml, which go:embed cannot reach
# in the folder above.
set -euo pipefail
cd "$(dirname "$0")"
make -s -C ../.. packages
cp node_modules/redoc/bundles/redoc.standalone.js .
cp node_modules/redoc/bundles/redoc.standalone.js.LICENSE.txt .
cp node_modules/redoc/LICENSE LICENSE.redoc
cp ../../openapi.yaml .
