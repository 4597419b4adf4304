"""A client that Strife did not write, and that was given no proto file: it asks the gateway what it can do.

It shows a client's certificate, reads every message and call by gRPC reflection, signs in, pays, pays again under the same
id as one does whose answer was lost, and lists its payments. What it was told goes to stdout as one JSON object.

    python3 client.py --address 127.0.0.1:50050 --certs HOME/certs --client-id client1 --username user1 --password pass1 \
        --bank HDFC --to 10000000000002 --amount-minor 12345 --transaction-id from-python
"""

import argparse
import json
import os

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

# A whole trace, so that the gateway's lines of calls can be found by it.
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def fields(data):
    """The fields of a message on the wire that are texts, bytes or messages: (number, bytes)."""
    at = 0

    def varint():
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        number, kind = divmod(varint(), 8)
        if kind == 2:
            length = varint()
            yield number, data[at : at + length]
            at += length
        elif kind == 0:
            varint()
        else:
            at += 8 if kind == 1 else 4


class Reflection:
    """grpc.reflection.v1, whose two questions are short enough to be written by hand."""

    def __init__(self, channel):
        path = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"
        self.ask_all = channel.stream_stream(path)

    def ask(self, number, text):
        text = text.encode()
        request = bytes([number * 8 + 2, len(text)]) + text
        (answer,) = self.ask_all(iter([request]))
        return list(fields(answer))

    def services(self):
        (listed,) = [data for number, data in self.ask(7, "*") if number == 6]
        return [name.decode() for _, service in fields(listed) for number, name in fields(service) if number == 1]

    def load(self, symbol, pool):
        """Puts the file that declares a symbol into the pool, and those that it needs, those first."""
        (described,) = [data for number, data in self.ask(4, symbol) if number == 4]
        files = [descriptor_pb2.FileDescriptorProto.FromString(data) for _, data in fields(described)]
        known = {file.name: file for file in files}
        added = set()

        def add(file):
            if file.name not in added:
                added.add(file.name)
                for needed in file.dependency:
                    if needed in known:
                        add(known[needed])
                pool.Add(file)

        for file in files:
            add(file)


class Gateway:
    """Calls by name, with messages as dictionaries."""

    def __init__(self, channel, pool, service):
        self.channel, self.pool, self.service = channel, pool, service
        self.signed_in = []

    def call(self, method, **values):
        described = self.pool.FindServiceByName(self.service).FindMethodByName(method)
        asked = message_factory.GetMessageClass(described.input_type)
        told = message_factory.GetMessageClass(described.output_type)
        send = self.channel.unary_unary(
            f"/{self.service}/{method}",
            request_serializer=asked.SerializeToString,
            response_deserializer=told.FromString,
        )
        return send(asked(**values), metadata=[*self.signed_in, ("traceparent", TRACEPARENT)], timeout=20)


def channel(address, certs):
    def read(name):
        with open(os.path.join(certs, name), "rb") as file:
            return file.read()

    return grpc.secure_channel(
        address,
        grpc.ssl_channel_credentials(read("ca.crt"), read("client.key"), read("client.crt")),
    )


def main():
    parser = argparse.ArgumentParser()
    for name in ("address", "certs", "client-id", "username", "password", "bank", "to", "transaction-id"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--amount-minor", required=True, type=int)
    args = parser.parse_args()

    line = channel(args.address, args.certs)
    reflection, pool = Reflection(line), descriptor_pool.DescriptorPool()
    services = reflection.services()
    (service,) = [name for name in services if name.endswith(".PaymentGateway")]
    reflection.load(service, pool)

    gateway = Gateway(line, pool, service)
    who = dict(client_id=args.client_id, username=args.username, password=args.password, bank=args.bank)
    token = gateway.call("RegisterClient", **who).auth_token
    gateway.signed_in = [("client-id", args.client_id), ("auth-token", token)]
    payment = dict(
        transaction_id=args.transaction_id,
        recipient_account_number=args.to,
        amount_minor=args.amount_minor,
        currency_code="INR",
    )
    # The second is what one sends whose answer was lost: the same payment, not another.
    paid, again = gateway.call("ProcessPayment", **payment), gateway.call("ProcessPayment", **payment)
    listed = gateway.call("ListPayments", page_size=10).payments
    answer = lambda one: dict(success=one.success, replayed=one.replayed, lsn=one.lsn)
    told = dict(services=services, paid=answer(paid), again=answer(again), listed=[one.transaction_id for one in listed])
    print(json.dumps(told))


if __name__ == "__main__":
    main()
