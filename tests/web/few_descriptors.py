"""Serves the toy until it is killed; prints its port."""

import threading

from tests.web.served import served

if __name__ == "__main__":
    with served() as site:
        print(site.port, flush=True)
        threading.Event().wait()
