#!/bin/sh
# Builds a driver of llama.cpp v0.5.0's llama_model_quantize from the npm package node-llama-cpp (sources of the headers)
# and its prebuilt library for Linux. Usage: llama-quantize.sh FOLDER, then
#   FEWBIT_LLAMA_QUANTIZE=FOLDER/llama-quantize npx vitest run src/pipeline/weights/golden.test.ts
# compares every file with the program's own and writes tests/golden/gguf/quantize.json. FOLDER/ggml-encode encodes rows
# with the same library, for bench/ggml.js.
set -e
here=$(cd "$(dirname "$0")" && pwd)
version=3.22.1
mkdir -p "$1" && cd "$1"
npm pack --silent "node-llama-cpp@$version" "@node-llama-cpp/linux-x64@$version"
mkdir -p headers library
tar xzf "node-llama-cpp-$version.tgz" -C headers
tar xzf "node-llama-cpp-linux-x64-$version.tgz" -C library
git -c advice.detachedHead=false clone --quiet headers/package/llama/gitRelease.bundle llama.cpp
bins=$PWD/library/package/bins/linux-x64
cc -O2 -Illama.cpp/include -Illama.cpp/ggml/include "$here/llama-quantize.c" -o llama-quantize \
  -L"$bins" -Wl,-rpath,"$bins" -l:libllama.v0.5.0.so -l:libggml.v0.5.0.so -l:libggml-base.so
cc -O2 -Illama.cpp/ggml/include "$here/ggml-encode.c" -o ggml-encode -L"$bins" -Wl,-rpath,"$bins" -l:libggml-base.so
echo "$PWD/llama-quantize"
