"""A client of gRPC: calls everything that the server has, and prints what came, a JSON object a line."""

import json
import sys
import threading

import grpc

TARGET, AUTHORITY = sys.argv[1:]
PATIENCE = 20

if AUTHORITY == "-":
    channel = grpc.insecure_channel(TARGET)
else:
    with open(AUTHORITY, "rb") as file:
        channel = grpc.secure_channel(TARGET, grpc.ssl_channel_credentials(file.read()))


def say(**what):
    print(json.dumps(what), flush=True)


def error(call):
    try:
        call()
    except grpc.RpcError as told:
        trailing = dict(told.trailing_metadata() or ())
        return [told.code().name, told.details(), trailing.get("x-why")]
    return None


unary = channel.unary_unary("/lab.Echo/Unary")
answer, call = unary.with_call(b"abc", timeout=PATIENCE, metadata=(("x-token", "secret"), ("x-bytes-bin", b"\0\xff")))
trailing = dict(call.trailing_metadata())
say(unary=answer.decode(), begins=dict(call.initial_metadata()).get("x-begins"), code=call.code().name,
    token=trailing.get("x-token"), bytes=trailing.get("x-bytes-bin", b"").hex())
say(empty=unary(b"", timeout=PATIENCE).decode())
say(large=len(unary(b"y" * 3_000_000, timeout=PATIENCE)))

down = channel.unary_stream("/lab.Echo/Down")
say(down=[int(message[:6]) for message in down(b"1000", timeout=PATIENCE)] == list(range(1000)))
say(nothing=list(down(b"0", timeout=PATIENCE)))
up = channel.stream_unary("/lab.Echo/Up")
say(up=int(up(iter([b"z" * 20_000] * 300), timeout=PATIENCE)))


class Conversation:
    """Says something only once it has heard the answer to what it said before."""

    def __init__(self, count):
        self.count, self.heard = count, []
        self.turn = threading.Semaphore(1)

    def __iter__(self):
        for number in range(self.count):
            self.turn.acquire()
            yield b"%d" % number

    def hear(self, message):
        self.heard.append(message.decode())
        self.turn.release()


talk = Conversation(100)
for message in channel.stream_stream("/lab.Echo/Talk")(iter(talk), timeout=PATIENCE):
    talk.hear(message)
say(talk=talk.heard == [f"heard {number}" for number in range(100)])

say(fail=error(lambda: channel.unary_unary("/lab.Echo/Fail")(b"", timeout=PATIENCE)))
late = channel.unary_stream("/lab.Echo/FailLate")(b"", timeout=PATIENCE)
say(before=next(late).decode(), late=error(lambda: next(late)))
say(unknown=error(lambda: channel.unary_unary("/lab.Echo/Other")(b"", timeout=PATIENCE))[0])

wait = channel.unary_unary("/lab.Echo/Wait")
say(deadline=error(lambda: wait(b"deadline", timeout=0.5))[0])
call = channel.unary_stream("/lab.Echo/Wait")(b"cancel", timeout=PATIENCE)
# What is given up before it has begun is never begun.
call.initial_metadata()
call.cancel()
say(cancelled=call.cancelled())

calls = [unary.future(b"%d" % number, timeout=PATIENCE) for number in range(300)]
say(many=all(call.result() == (b"%d" % number)[::-1] for number, call in enumerate(calls)))
