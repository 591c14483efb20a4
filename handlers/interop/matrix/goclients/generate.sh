#!/bin/bash
# Makes openai2 of openai3: the two majors have the same methods.
set -euo pipefail
mkdir -p openai2
sed -e 's|openai-go/v3|openai-go/v2|' -e 's|^package openai3|package openai2|' -e 's|^// Package openai3 .*|// Package openai2 calls the major of OpenAI'"'"'s Go package before the current one. generate.sh makes it of openai3.|' \
	openai3/openai.go >openai2/openai.go
