// The API of a page view counter with a queue: Express puts each event into Bull, a worker stores it. Two events of the
// same millisecond differ in the random end of the job's id. PORT and REDIS_PORT are in the environment.
'use strict';
const express = require('express');
const Queue = require('bull');

const queue = new Queue('analytics-events', { redis: { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) } });
const options = {
  attempts: 3, backoff: { type: 'exponential', delay: 2000 }, removeOnComplete: 100, removeOnFail: 200,
};

const isText = (value) => typeof value === 'string' && value.trim() !== '';

function faults(event) {
  const details = ['site_id', 'event_type', 'path']
    .filter((name) => !isText(event[name]))
    .map((name) => `${name} is required and must be a non-empty string`);
  if (event.user_id !== undefined && event.user_id !== null && typeof event.user_id !== 'string') {
    details.push('user_id must be a string if provided');
  }
  if (!isText(event.timestamp)) {
    details.push('timestamp is required and must be an ISO 8601 string');
  } else if (Number.isNaN(Date.parse(event.timestamp))) {
    details.push('timestamp must be a valid ISO 8601 date string');
  }
  return details;
}

const app = express();
app.use(express.json({ limit: '100kb' }));
app.post('/event', async (request, response) => {
  const details = faults(request.body);
  if (details.length) {
    response.status(400).json({ error: 'Invalid payload', details });
    return;
  }
  const { site_id, event_type, path, user_id, timestamp } = request.body;
  const jobId = `${site_id}-${Date.now()}-${Math.random().toString(36).slice(2, 11)}`;
  try {
    await queue.add({ site_id, event_type, path, user_id: user_id || null, timestamp }, { ...options, jobId });
    response.status(202).json({ message: 'Event accepted for processing', jobId });
  } catch (error) {
    response.status(500).json({ error: 'Failed to enqueue event', message: error.message });
  }
});
const server = app.listen(0, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
