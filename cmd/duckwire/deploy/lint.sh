#!/bin/bash
# Lints the Dockerfile and compose.yaml. Warnings are errors.
set -euo pipefail
cd "$(dirname "$0")"
node_modules/.bin/dockerfile-utils lint ../../../Dockerfile
node_modules/.bin/dclint --max-warnings 0 compose.yaml
echo "Dockerfile, compose.yaml: no faults"
