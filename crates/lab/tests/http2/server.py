"""A server of gRPC without generated code: messages are bytes. Says on standard output whose calls were given up."""

import sys
import threading
from concurrent import futures

import grpc

CLEAR, SECURE, KEYS = sys.argv[1:]


def unary(request, context):
    sent = dict(context.invocation_metadata())
    context.send_initial_metadata((("x-begins", "here"),))
    context.set_trailing_metadata((("x-token", sent.get("x-token", "none")), ("x-bytes-bin", sent.get("x-bytes-bin", b"none"))))
    return request[::-1]


def down(request, context):
    for number in range(int(request)):
        yield b"%06d" % number + b"x" * 10000


def up(requests, context):
    return b"%d" % sum(len(request) for request in requests)


def talk(requests, context):
    for request in requests:
        yield b"heard " + request


def fail(request, context):
    context.set_trailing_metadata((("x-why", "because"),))
    context.abort(grpc.StatusCode.NOT_FOUND, "no such thing: é %")


def fail_late(request, context):
    yield b"one"
    context.abort(grpc.StatusCode.DATA_LOSS, "half of it")


def wait(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    # Who is told that the call has begun may give it up.
    context.send_initial_metadata(())
    over.wait()
    print("given up", request.decode(), flush=True)
    return b""


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Down": grpc.unary_stream_rpc_method_handler(down),
    "Up": grpc.stream_unary_rpc_method_handler(up),
    "Talk": grpc.stream_stream_rpc_method_handler(talk),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "FailLate": grpc.unary_stream_rpc_method_handler(fail_late),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
}

server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("lab.Echo", METHODS),))
server.add_insecure_port(CLEAR)
with open(KEYS, "rb") as file:
    pem = file.read()
server.add_secure_port(SECURE, grpc.ssl_server_credentials([(pem, pem)]))
server.start()
print("ready", flush=True)
server.wait_for_termination()
