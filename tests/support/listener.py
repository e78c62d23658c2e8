"""listener.py - a port of the loopback address whose connections have a thread each.

SPDX-License-Identifier: Apache-2.0
"""

import socket
import threading


class Listener:
    """serve: called with the socket of each connection, in a thread of its own."""

    def __init__(self, port, serve, backlog):
        self.serve = serve
        self.sock = socket.create_server(("127.0.0.1", port), backlog=backlog)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.sock.accept()
            except OSError:
                return
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def close(self):
        """New connections are refused; those that there are stay."""
        self.sock.shutdown(socket.SHUT_RDWR)  # else the thread in accept() would keep it
        self.sock.close()
