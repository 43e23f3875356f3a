// A thread that publishes one number after the other, so that clients which come back do not slow it down. It is told
// where the control listener is, again and again, and at last to stop; then it says which numbers were answered.

import { parentPort, workerData } from 'node:worker_threads';
import { setTimeout as pause } from 'node:timers/promises';

let control;
parentPort.on('message', (address) => { control = address; });

const answered = [];
for (let number = workerData.first; control !== null; number += 1) {
  try {
    const answer = await fetch(`${control}/publish?topic=t`, { method: 'POST', body: String(number) });
    if (answer.status === 200) answered.push(number);
  } catch {
    // The server was killed; the number is not published again.
  }
  await pause(workerData.pauseMs);
}
parentPort.postMessage(answered);
parentPort.close();
