// A client of Socket.IO 5 over one WebSocket: sends and takes events, and comes back by itself. No long polling, no
// namespaces, no binary: this server is asked from its own pages by browsers that have WebSockets.

const [OPEN, CLOSE, PING, PONG, MESSAGE] = "01234";
const [CONNECT, DISCONNECT, EVENT, ACK] = "0123";
const FIRST_PAUSE = 500;
const LONGEST_PAUSE = 5000;

export class Socket {
  #url;
  #heard;
  #connected;
  #socket = null;
  #acks = new Map();
  #number = 0;
  #pause = FIRST_PAUSE;
  #silence = null;

  /** `heard(name, data)` for every event; `connected(true)` whenever it is (again) connected, `(false)` when not. */
  constructor({ heard, connected }) {
    this.#url = `${location.origin.replace("http", "ws")}/socket.io/?EIO=4&transport=websocket`;
    [this.#heard, this.#connected] = [heard, connected];
  }

  open() {
    const socket = (this.#socket = new WebSocket(this.#url));
    socket.onmessage = ({ data }) => this.#take(data);
    socket.onclose = () => this.#comeBack();
  }

  /** Send an event; resolves with what the server acknowledges, never where the connection breaks before. */
  send(name, data) {
    const number = (this.#number += 1);
    this.#socket.send(`${MESSAGE}${EVENT}${number}${JSON.stringify([name, data])}`);
    return new Promise((resolve) => this.#acks.set(number, resolve));
  }

  #take(text) {
    const [kind, rest] = [text[0], text.slice(1)];
    if (kind === OPEN) {
      const { pingInterval, pingTimeout } = JSON.parse(rest);
      this.#patience = pingInterval + pingTimeout;
      this.#socket.send(MESSAGE + CONNECT);
    } else if (kind === PING) this.#socket.send(PONG);
    else if (kind === CLOSE) this.#socket.close();
    else if (kind === MESSAGE) this.#message(rest);
    this.#listen();
  }

  #patience = 45_000;

  /** A machine that slept leaves a connection that looks open and is not. */
  #listen() {
    clearTimeout(this.#silence);
    this.#silence = setTimeout(() => this.#socket.close(), this.#patience);
  }

  #message(text) {
    const [, kind, number, content] = text.match(/^(\d)(\d*)([^]*)$/);
    if (kind === CONNECT) {
      this.#pause = FIRST_PAUSE;
      this.#connected(true);
    } else if (kind === EVENT) this.#heard(...JSON.parse(content));
    else if (kind === ACK) {
      this.#acks.get(Number(number))?.(JSON.parse(content)[0]);
      this.#acks.delete(Number(number));
    } else if (kind === DISCONNECT) this.#socket.close();
  }

  #comeBack() {
    clearTimeout(this.#silence);
    this.#acks.clear();
    this.#connected(false);
    setTimeout(() => this.open(), this.#pause);
    this.#pause = Math.min(2 * this.#pause, LONGEST_PAUSE);
  }
}
