// Watches one run with the official Socket.IO client and prints what it is told, a JSON line for each message.
// Usage: node watch.js URL TRAINING_ID AFTER. Ends when the run does; subscribes again after every reconnect.
import { io } from "socket.io-client";

const [url, trainingId, after] = process.argv.slice(2);
const socket = io(url, { reconnectionDelay: 100, reconnectionDelayMax: 500 });
let seq = Number(after);

const say = (name, data) => process.stdout.write(JSON.stringify({ name, data }) + "\n");
const subscribe = () =>
  seq ? { training_id: trainingId, after: seq } : { training_id: trainingId };

socket.on("connect", () => {
  say("connect", { transport: socket.io.engine.transport.name });
  socket.emit("subscribe_training", subscribe());
});
socket.on("disconnect", (reason) => say("disconnect", { reason }));
socket.on("training_update", (data) => {
  seq = data.seq;
  say("training_update", data);
});
for (const name of ["training_complete", "training_error"]) {
  socket.on(name, (data) => {
    say(name, data);
    socket.close();
  });
}
