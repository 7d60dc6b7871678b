#!/bin/sh
# Prints the header of HAProxy's statistics in CSV, as the installed HAProxy writes it.
# usage: haproxy-2.6-csv-header.sh > haproxy-2.6-csv-header.txt   (made with Debian 12's 2.6.12)
set -eu
folder=$(mktemp -d)
trap 'kill "$(cat "$folder/pid")"; rm -r "$folder"' EXIT
cat > "$folder/haproxy.cfg" <<CONFIG
global
    stats socket $folder/stats.sock
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend web
    bind unix@$folder/web.sock
    default_backend app
backend app
    server one 127.0.0.1:9
CONFIG
haproxy -D -f "$folder/haproxy.cfg" -p "$folder/pid"
python3 - "$folder/stats.sock" <<'PYTHON'
import socket, sys
stats = socket.socket(socket.AF_UNIX)
stats.connect(sys.argv[1])
stats.sendall(b"show stat\n")
print(stats.makefile().readline(), end="")
PYTHON
