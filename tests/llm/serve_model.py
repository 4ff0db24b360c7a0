"""Serve a model file with llama.cpp's own server until standard input ends; prints the address."""

from __future__ import annotations

import sys

import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = sys.argv[1]
params.n_ctx = 4096
params.n_parallel = 1
server = xllamacpp.Server(params)
sys.stdout.write(server.listening_address + "\n")
sys.stdout.flush()
sys.stdin.read()
