"""From a request to the commit, and through an outage.

request    a handler in `streams/<name>/post.py` calls `accept.events`
accept     reads the body, decodes and checks each event, and makes it a row with an id
lanes      take the rows that wait, up to 1,000, as one batch; many are spread over several lanes
writer     commits each batch and hands out the verdicts
statement  `insert` of `sql/<name>/store.sql`, one transaction: skips known ids, stores rows, folds them into totals
outage     a batch that is not committed in time goes to the spool on disk, and is replayed in order later
verdict    each row is stored, known, spooled or refused; the handler words the answer
NOTIFY     after a commit, `live/channel.py` tells every server which stream changed
client     `live/topics.py` runs one query for a snapshot and sends it to every client of the topic
"""
