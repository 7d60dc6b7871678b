"""A FastCGI application of one process: what it is told to do is the last part of the path."""
import os
import resource
import socket
import struct
import sys


def read(connection, length):
    data = b""
    while len(data) < length:
        piece = connection.recv(length - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def pairs(data):
    found, at = {}, 0

    def length(at):
        if data[at] < 128:
            return data[at], at + 1
        return struct.unpack(">I", data[at : at + 4])[0] & 0x7FFFFFFF, at + 4

    while at < len(data):
        name, at = length(at)
        value, at = length(at)
        found[data[at : at + name].decode()] = data[at + name : at + name + value].decode()
        at += name + value
    return found


def request(connection):
    params, done = b"", False
    while not done:
        _, kind, number, length, padding, _ = struct.unpack(">BBHHBB", read(connection, 8))
        content = read(connection, length + padding)[:length]
        if kind == 4:
            params += content
        done = kind == 5 and length == 0
    return number, pairs(params)


def answer(connection, number, text):
    body = b"Content-Type: text/plain\r\n\r\n" + text.encode()
    connection.sendall(struct.pack(">BBHHBB", 1, 6, number, len(body), 0, 0) + body)
    connection.sendall(struct.pack(">BBHHBBIB3x", 1, 3, number, 8, 0, 0, 0, 0))


def obey(word):
    if word == "who":
        return f"{os.getpid()} {os.getuid()} {os.getgid()} {os.environ.get('COLOUR', '-')} {os.getcwd()}"
    if word == "limits":
        limits = [resource.getrlimit(limit)[0] for limit in (resource.RLIMIT_AS, resource.RLIMIT_NOFILE, resource.RLIMIT_CPU)]
        return " ".join(map(str, limits))
    if word == "memory":
        try:
            return str(len(bytearray(1 << 30)))
        except MemoryError:
            return "refused"
    if word == "spin":
        while True:
            pass
    if word == "complain":
        sys.stderr.write("something is odd\x1b[1m\n" + "x" * 5000 + "\n")
        sys.stderr.flush()
        return "said"
    return "?"


def main():
    listener = socket.socket(fileno=0)
    while True:
        connection, _ = listener.accept()
        with connection:
            number, params = request(connection)
            word = params["PATH_INFO"].rsplit("/", 1)[-1] or params["SCRIPT_NAME"].rsplit("/", 1)[-1]
            if word == "die":
                os._exit(3)
            answer(connection, number, obey(word))


main()
