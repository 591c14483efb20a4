#!/bin/bash
# Lints openapi.yaml. Warnings are errors.
set -euo pipefail
cd "$(dirname "$0")"
export REDOCLY_TELEMETRY=off REDOCLY_SUPPRESS_UPDATE_NOTICE=true
report=$(node_modules/.bin/redocly lint --config redocly.yaml ../../openapi.yaml 2>&1) || { echo "$report"; exit 1; }
if grep -q '^\[[0-9]*\] ' <<<"$report"; then
	echo "$report"
	exit 1
fi
echo "openapi.yaml: no faults"
