"""A bank that Strife did not write: Python, grpcio, and the report's five calls.

Its stubs are generated from the project's unmodified proto/. It keeps its accounts and holds in one SQLite file, and does
what bank.proto asks of a bank in any language: a hold is durable before the vote, holds are keyed by the gateway's id,
every repeated call gets the recorded answer, and an abort of an unknown payment leaves a tombstone.

    python3 bank.py --name PyBank --address 127.0.0.1:50057 --certs HOME/certs --proto proto --data FILE.db \
        --account 20000000000001=100000
"""

import argparse
import importlib
import os
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from concurrent import futures

import grpc
from grpc_tools import protoc


def stubs(proto):
    """Generates the stubs from the project's proto files, and imports them."""
    out = tempfile.mkdtemp(prefix="strife-stubs-")
    names = ["strife/v1/payment_gateway.proto", "strife/v1/bank.proto"]
    if protoc.main(["protoc", f"-I{proto}", f"--python_out={out}", f"--grpc_python_out={out}", *names]) != 0:
        sys.exit("the proto files do not compile")
    sys.path.insert(0, out)
    return importlib.import_module("strife.v1.bank_pb2"), importlib.import_module("strife.v1.bank_pb2_grpc")


class Trap:
    """Kills this process, as kill -9 does, when it comes to a place for the n-th time.

    prepared: the hold is durable, the vote was not sent. committing: the commit has arrived and nothing came of it.
    committed: the posting is durable, the answer was not sent.
    """

    def __init__(self, spec):
        self.place, _, nth = (spec or "").partition(":")
        self.left = int(nth or 1)
        self.lock = threading.Lock()

    def at(self, place):
        with self.lock:
            if place == self.place:
                self.left -= 1
                if self.left == 0:
                    os.kill(os.getpid(), signal.SIGKILL)


class Book:
    """Accounts and holds, durable before any call returns."""

    def __init__(self, path, accounts):
        self.lock = threading.Lock()
        self.db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.db.execute("PRAGMA journal_mode=WAL")
        self.db.execute("PRAGMA synchronous=FULL")
        self.db.execute("CREATE TABLE IF NOT EXISTS accounts (number TEXT PRIMARY KEY, posted INTEGER NOT NULL)")
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS holds (id TEXT PRIMARY KEY, state TEXT NOT NULL, reason TEXT NOT NULL)"
        )
        self.db.execute(
            "CREATE TABLE IF NOT EXISTS legs (id TEXT NOT NULL, account TEXT NOT NULL, amount INTEGER NOT NULL)"
        )
        self.db.execute("CREATE TABLE IF NOT EXISTS epochs (lineage TEXT PRIMARY KEY, epoch INTEGER NOT NULL)")
        for number, opening in accounts:
            self.db.execute("INSERT OR IGNORE INTO accounts VALUES (?, ?)", (number, opening))

    def __enter__(self):
        self.lock.acquire()
        self.db.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, kind, error, trace):
        self.db.execute("ROLLBACK" if kind else "COMMIT")
        self.lock.release()

    def hold(self, payment):
        return self.db.execute("SELECT state, reason FROM holds WHERE id = ?", (payment,)).fetchone()

    def put(self, payment, state, reason=""):
        self.db.execute("INSERT OR REPLACE INTO holds VALUES (?, ?, ?)", (payment, state, reason))

    def posted(self, account):
        row = self.db.execute("SELECT posted FROM accounts WHERE number = ?", (account,)).fetchone()
        return None if row is None else row[0]

    def held(self, account):
        query = (
            "SELECT COALESCE(SUM(-amount), 0) FROM legs JOIN holds USING (id) "
            "WHERE account = ? AND amount < 0 AND state = 'HELD'"
        )
        return self.db.execute(query, (account,)).fetchone()[0]

    def fence(self, lineage, epoch):
        """False for a start of the gateway that a later one has replaced."""
        row = self.db.execute("SELECT epoch FROM epochs WHERE lineage = ?", (lineage,)).fetchone()
        if row and row[0] > epoch:
            return False
        self.db.execute("INSERT OR REPLACE INTO epochs VALUES (?, ?)", (lineage, epoch))
        return True


def service(pb, pb_grpc, name, book, trap):
    states = {
        "HELD": pb.HOLD_STATE_HELD,
        "POSTED": pb.HOLD_STATE_POSTED,
        "RELEASED": pb.HOLD_STATE_RELEASED,
        "REFUSED": pb.HOLD_STATE_REFUSED,
    }
    started = time.monotonic()

    def answer(state, reason=""):
        ready = state != "REFUSED"
        return pb.TransactionResponse(ready=ready, message=state.lower(), reason=reason, state=states[state])

    def check(request):
        for leg in request.legs:
            posted = book.posted(leg.account_number)
            if posted is None:
                return "ACCOUNT_NOT_FOUND"
            if leg.side == pb.SIDE_DEBIT and posted - book.held(leg.account_number) < leg.amount_minor:
                return "INSUFFICIENT_FUNDS"
        return ""

    class Bank(pb_grpc.BankServiceServicer):
        def PrepareTransaction(self, request, context):
            with book:
                if not book.fence(request.lineage, request.epoch):
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "a later start of the gateway is here")
                known = book.hold(request.transaction_id)
                if known:
                    # Overtaken by its abort: nothing may be held any more.
                    return answer("REFUSED", "TOO_LATE") if known[0] == "RELEASED" else answer(*known)
                reason = check(request)
                if reason:
                    book.put(request.transaction_id, "REFUSED", reason)
                    return answer("REFUSED", reason)
                for leg in request.legs:
                    signed = -leg.amount_minor if leg.side == pb.SIDE_DEBIT else leg.amount_minor
                    row = (request.transaction_id, leg.account_number, signed)
                    book.db.execute("INSERT INTO legs VALUES (?, ?, ?)", row)
                book.put(request.transaction_id, "HELD")
            trap.at("prepared")
            return answer("HELD")

        def CommitTransaction(self, request, context):
            trap.at("committing")
            with book:
                known = book.hold(request.transaction_id)
                if known is None or known[0] in ("RELEASED", "REFUSED"):
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nothing is held for that payment")
                if known[0] == "HELD":
                    legs = book.db.execute(
                        "SELECT account, amount FROM legs WHERE id = ?", (request.transaction_id,)
                    ).fetchall()
                    for account, amount in legs:
                        book.db.execute("UPDATE accounts SET posted = posted + ? WHERE number = ?", (amount, account))
                    book.put(request.transaction_id, "POSTED")
            trap.at("committed")
            return answer("POSTED")

        def AbortTransaction(self, request, context):
            with book:
                known = book.hold(request.transaction_id)
                if known and known[0] == "POSTED":
                    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "that payment is posted")
                if known and known[0] == "REFUSED":
                    return answer(*known)
                book.put(request.transaction_id, "RELEASED")
            return answer("RELEASED")

        def Ping(self, request, context):
            uptime = int((time.monotonic() - started) * 1000)
            return pb.PingResponse(message="pong", bank=name, uptime_ms=uptime)

        def GetBalance(self, request, context):
            gateway_pb = importlib.import_module("strife.v1.payment_gateway_pb2")
            with book:
                posted, held = book.posted(request.account_number), book.held(request.account_number)
            if posted is None:
                context.abort(grpc.StatusCode.NOT_FOUND, "no such account")
            return gateway_pb.BalanceResponse(
                success=True,
                message="as posted",
                account_number=request.account_number,
                currency_code="INR",
                balance_minor=posted,
                available_minor=posted - held,
                held_minor=held,
            )

    return Bank()


def read(path):
    with open(path, "rb") as file:
        return file.read()


def main():
    flags = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for flag in ("--name", "--address", "--certs", "--proto", "--data"):
        flags.add_argument(flag, required=True)
    flags.add_argument("--account", action="append", default=[], metavar="NUMBER=MINOR")
    flags.add_argument("--die-at", metavar="PLACE[:NTH]", help="prepared, committing or committed")
    given = flags.parse_args()
    pb, pb_grpc = stubs(given.proto)
    accounts = [(number, int(minor)) for number, minor in (text.split("=") for text in given.account)]
    book = Book(given.data, accounts)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    pb_grpc.add_BankServiceServicer_to_server(service(pb, pb_grpc, given.name, book, Trap(given.die_at)), server)
    certs = f"{given.certs}/banks/{given.name}"
    credentials = grpc.ssl_server_credentials(
        [(read(f"{certs}.key"), read(f"{certs}.crt"))],
        root_certificates=read(f"{given.certs}/internal-ca.crt"),
        require_client_auth=True,
    )
    if server.add_secure_port(given.address, credentials) == 0:
        sys.exit(f"cannot listen on {given.address}")
    server.start()
    print("ready", flush=True)
    # Ends with whoever started it: its stdin is the other end of their pipe.
    sys.stdin.read()
    server.stop(1)


if __name__ == "__main__":
    main()
