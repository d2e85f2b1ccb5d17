// The worker behind bull_api.js: one insert for each job, five at a time. PostgreSQL is named by PGHOST and the like.
'use strict';
const Queue = require('bull');
const { Pool } = require('pg');

const pool = new Pool();
const queue = new Queue('analytics-events', { redis: { host: '127.0.0.1', port: Number(process.env.REDIS_PORT) } });
const insert = 'insert into events (site_id, event_type, path, user_id, timestamp) values ($1, $2, $3, $4, $5)';

queue.process(5, async (job) => {
  const { site_id, event_type, path, user_id, timestamp } = job.data;
  await pool.query(insert, [site_id, event_type, path, user_id, timestamp]);
});
queue.isReady().then(() => console.log('ready'));
