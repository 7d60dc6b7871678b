"""The master's side with Python's own client and with requests: prints what it got, a JSON object a line."""

import http.client
import json
import os
import ssl
import sys

import requests

HOST, PORT, NAME, AUTHORITY, CERTIFICATE, GATES = sys.argv[1:]
MESSAGE_END = b"\x03"


def session():
    """A connection of http.client with the certificate shown."""
    context = ssl.create_default_context(cafile=AUTHORITY)
    context.load_cert_chain(CERTIFICATE)
    connection = http.client.HTTPSConnection(HOST, int(PORT), context=context, timeout=20)
    # The certificate has the name, and the address is what is there to connect to.
    context.check_hostname = False
    return connection


def messages(answer):
    held = b""
    while piece := answer.read1(4096):
        held += piece
        while MESSAGE_END in held:
            message, held = held.split(MESSAGE_END, 1)
            yield json.loads(message)


connection = session()
connection.request("GET", "/rpc/env")
print(json.dumps({"env": json.load(connection.getresponse())}))

connection.request("POST", "/rpc/count", body=iter([b"x" * 70000] * 10), encode_chunked=True)
print(json.dumps({"chunked": connection.getresponse().read().decode()}))

connection.request("GET", "/rpc/progress")
seen = []
for step, message in enumerate(messages(connection.getresponse())):
    seen.append(message)
    with open(os.path.join(GATES, str(step)), "w"):
        pass
print(json.dumps({"progress": seen}))

with requests.Session() as client:
    # Variables of this machine's environment would name other authorities.
    client.trust_env = False
    client.verify, client.cert = AUTHORITY, CERTIFICATE
    told = client.post(f"https://{HOST}:{PORT}/rpc/count", data=b"y" * 300000, timeout=20)
    print(json.dumps({"sized": told.text}))
    print(json.dumps({"rapi": client.get(f"https://{HOST}:{PORT}/2/env", timeout=20).status_code}))
