// Drives @livekit/agents-plugin-baseten as a voice agent does: frames pushed by the clock, events
// read, each printed as a line of JSON. Run it in the folder that holds node_modules:
//   node livekit_js.cjs URL PCM_FILE RATE_HZ SPEED FINALS
// It ends after so many finals; whoever runs it limits the time.
const { readFileSync } = require('node:fs');
const { createRequire } = require('node:module');

const installed = createRequire(process.cwd() + '/');
const { initializeLogger } = installed('@livekit/agents');
const { AudioFrame } = installed('@livekit/rtc-node');
const { STT } = installed('@livekit/agents-plugin-baseten');

const FRAMES_PER_S = 50;
const FINAL_TRANSCRIPT = 2; // SpeechEventType of @livekit/agents

const [url, file, ...numbers] = process.argv.slice(2);
const [rate, speed, finals] = numbers.map(Number);

async function push(stream, samples) {
  const began = Date.now();
  const size = rate / FRAMES_PER_S;
  for (let start = 0; start < samples.length; start += size) {
    const part = samples.slice(start, start + size);
    stream.pushFrame(new AudioFrame(part, rate, 1, part.length));
    const due = began + (1000 * (start + size)) / rate / speed;
    await new Promise((done) => setTimeout(done, Math.max(0, due - Date.now())));
  }
}

async function main() {
  initializeLogger({ pretty: false, level: 'error' });
  const pcm = readFileSync(file);
  const samples = new Int16Array(pcm.buffer, pcm.byteOffset, pcm.byteLength / 2);
  const stt = new STT({ modelEndpoint: url, apiKey: 'none is asked for', sampleRate: rate });
  const stream = stt.stream();
  push(stream, samples);
  let left = finals;
  for await (const event of stream) {
    console.log(JSON.stringify(event));
    if (event.type === FINAL_TRANSCRIPT && --left === 0) break;
  }
  stream.close();
}

main().then(() => process.exit(0));
