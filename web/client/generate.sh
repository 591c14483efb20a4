#!/bin/bash
# Generates docs, the reference of the package, from the comments in src.
set -euo pipefail
cd "$(dirname "$0")"
make -s -C ../.. packages
npx --no-install typedoc --logLevel Warn
